# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# The server of tests/support/services.py in Tcl: channels with fileevent, fcopy in the background, after.

lassign $argv address port file

proc failed {socket message options} {
    puts "error [lindex [dict get $options -errorcode] 1]"
    catch {close $socket}
}

proc greet {socket peer peerport} {
    chan configure $socket -blocking 0 -translation binary -buffering full
    puts $socket ready
    flush $socket
    chan event $socket readable [list line $socket]
}

proc line {socket} {
    try {
        if {[gets $socket line] < 0} {
            if {[eof $socket]} {close $socket}
            return
        }
        chan event $socket readable {}
        serve_[lindex $line 0] $socket {*}[lrange $line 1 end]
    } on error {message options} {
        failed $socket $message $options
    }
}

proc copied {socket count {message {}}} {
    if {$message ne {}} {
        # fcopy gives no error code, only its text.
        set text [string trim [lindex [split $message :] end]]
        puts "error [string map {{connection reset by peer} ECONNRESET {broken pipe} EPIPE} $text]"
    }
    catch {close $socket}
}

proc serve_echo {socket} {
    fcopy $socket $socket -command [list copied $socket]
}

proc serve_file {socket} {
    global file
    set from [open $file rb]
    fcopy $from $socket -command [list apply {{from socket args} {
        close $from
        copied $socket {*}$args
    }} $from $socket]
}

proc serve_sink {socket} {
    chan event $socket readable [list sink $socket]
    set ::sums($socket) {0 0}
}

proc sink {socket} {
    lassign $::sums($socket) count sum
    set chunk [read $socket 100000]
    if {$chunk ne {}} {
        set sum [zlib crc32 $chunk $sum]
        incr count [string length $chunk]
    }
    set ::sums($socket) [list $count $sum]
    if {[eof $socket]} {
        puts $socket [format {%d %08x} $count $sum]
        close $socket
        unset ::sums($socket)
    }
}

proc serve_tick {socket count interval} {
    set ::left($socket) 2
    chan event $socket readable [list tick_line $socket]
    after $interval [list tick $socket 0 $count $interval]
}

proc tick {socket turn count interval} {
    puts $socket "tick $turn"
    flush $socket
    if {[incr turn] < $count} {
        after $interval [list tick $socket $turn $count $interval]
    } else {
        tick_done $socket
    }
}

proc tick_line {socket} {
    while {[gets $socket line] >= 0} {
        puts $socket $line
    }
    flush $socket
    if {[eof $socket]} {
        chan event $socket readable {}
        tick_done $socket
    }
}

proc tick_done {socket} {
    if {[incr ::left($socket) -1] == 0} {
        close $socket
        unset ::left($socket)
    }
}

# Tcl has no signal handlers: the end of standard input ends the server.
proc end {} {
    read stdin
    if {[eof stdin]} {exit 0}
}

chan configure stdin -blocking 0
chan event stdin readable end
chan configure stdout -buffering line
socket -server greet -myaddr $address $port
vwait forever
