# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# A client of tests/support/services.py in Tcl: ADDRESS PORT COUNT BYTES.

lassign $argv address port count bytes

proc open_service {name} {
    global address port
    set socket [socket $address $port]
    chan configure $socket -translation binary -buffering none
    if {[gets $socket] ne {ready}} {error {no greeting}}
    puts $socket $name
    return $socket
}

# All at once, connected in the background; each sends when it can, and reads to the end.
proc connected {socket} {
    chan event $socket writable {}
    set failure [chan configure $socket -error]
    if {$failure ne {}} {error $failure}
    chan configure $socket -blocking 0 -translation binary
    set ::got($socket) {}
    puts $socket echo
    puts -nonewline $socket $::data
    chan close $socket write
    chan event $socket readable [list arrived $socket]
}

proc arrived {socket} {
    append ::got($socket) [read $socket]
    if {![eof $socket]} return
    incr ::right [expr {$::got($socket) eq "ready\n$::data"}]
    close $socket
    incr ::left -1
}

set data [string repeat "0123456789abcdef\n" [expr {$bytes / 17}]]
set right 0
set left $count
for {set number 0} {$number < $count} {incr number} {
    set socket [socket -async $address $port]
    chan event $socket writable [list connected $socket]
}
while {$left > 0} {vwait left}
puts "echo $right"

# From the socket into a file.
set socket [open_service file]
set file [open downloaded wb]
fcopy $socket $file -command {set copied}
vwait copied
close $file
set file [open downloaded rb]
puts [format {file %08x} [zlib crc32 [read $file]]]

# A blocking conversation with many tiny writes.
set socket [open_service echo]
for {set turn 0} {$turn < 500} {incr turn} {
    puts -nonewline $socket x
    if {[read $socket 1] ne {x}} {error {not what was sent}}
}
puts turns
