"""One fence for foreign bytes: files are opened, read and analysed in a process that can be lost without harm."""
