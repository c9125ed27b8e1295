"""`seamline probe`: is the map right? Values that a person reads off the HMI against what the registers hold.

Modules, in the order of the work:

* shown       what the person says: 12345, 36.5, 398~3, on, a text
* layouts     every way a tag may lie: tables, places, types, orders, bits. Pure
* judge       which of them hold what was shown, over all rounds and over all tags together. Pure
* look        the registers around the tags, read as gently as the agent reads
* correction  what has to be written into the site file, and the proof that it is right
* session     one device: looks, rounds, judgements
* screen      candidates that refresh while a person reads the HMI
* report      what was found, for people and for programs
* command     the options and the order of things
"""
