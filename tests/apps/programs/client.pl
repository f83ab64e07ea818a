# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# A client of tests/support/services.py in Perl: ADDRESS PORT COUNT BYTES.

use strict;
use warnings;
use Digest::SHA;
use IO::Select;
use IO::Socket::INET;

my ($address, $port, $count, $bytes) = @ARGV;

sub open_service {
    my ($name) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 10) or die "connect: $@";
    die 'no greeting' if <$socket> ne "ready\n";
    print $socket "$name\n";
    return $socket;
}

# The parent reads while a child writes on the same connection.
sub echo {
    my $socket = open_service('echo');
    my $data = join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. $bytes / 4);
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        print $socket $data;
        $socket->shutdown(1);
        exit(0);
    }
    local $/;
    my $back = <$socket>;
    waitpid($pid, 0);
    return $back eq $data;
}

# All at once, connected without blocking.
sub select_all {
    my $waiting = IO::Select->new;
    my $reading = IO::Select->new;
    my (%got, $right);
    for (1 .. $count) {
        $waiting->add(IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Blocking => 0) // die "connect: $@");
    }
    while ($waiting->count || $reading->count) {
        my ($readable, $writable) = IO::Select->select($reading, $waiting, undef, 20) or die 'nothing happens';
        for my $socket (@$writable) {
            $waiting->remove($socket);
            die 'no connection' if !$socket->connected;
            syswrite($socket, "echo\nhello\n");
            $socket->shutdown(1);
            $got{$socket} = '';
            $reading->add($socket);
        }
        for my $socket (@$readable) {
            my $length = sysread($socket, $got{$socket}, 100, length $got{$socket});
            next if !defined $length || $length > 0;
            $reading->remove($socket);
            $right++ if $got{$socket} eq "ready\nhello\n";
            close($socket);
        }
    }
    return $right;
}

sub download {
    my $socket = open_service('file');
    my $sha = Digest::SHA->new(256);
    $sha->addfile($socket);
    return $sha->hexdigest;
}

$| = 1;
my $right = 0;
for (1 .. 10) { $right++ if echo() }
print "echo $right\n";
print 'select ', select_all(), "\n";
print 'file ', download(), "\n";
