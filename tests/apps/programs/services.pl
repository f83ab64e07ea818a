# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# The server of tests/support/services.py in Perl: a process for each connection, PerlIO's buffers beside sysread and
# syswrite, IO::Select.

use strict;
use warnings;
use Digest::SHA;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SOMAXCONN);
use Time::HiRes qw(time);

my ($address, $port, $file) = @ARGV;

sub failed {
    my ($error) = grep { $!{$_} } keys %!;
    syswrite(STDOUT, "error $error\n");
    exit(0);
}

sub put {
    my ($socket, $data) = @_;
    my $offset = 0;
    while ($offset < length $data) {
        my $put = syswrite($socket, $data, length($data) - $offset, $offset);
        if (defined $put) { $offset += $put }
        elsif ($!{EAGAIN}) { IO::Select->new($socket)->can_write }
        else { failed() }
    }
}

# Through PerlIO, which may hold the first bytes behind the command already, from a socket that does not block. Gives
# undef when nothing is there, '' at the end.
sub get {
    my ($socket) = @_;
    $! = 0;
    my $got = read($socket, my $chunk, 20_000);
    return $chunk if $got;
    my $again = $!{EAGAIN};
    failed() if $! && !$again;
    $socket->clearerr; # PerlIO keeps EAGAIN as an error for ever
    return $again ? undef : '';
}

sub echo {
    my ($socket) = @_;
    my $select = IO::Select->new($socket);
    $socket->blocking(0);
    while (1) {
        my $chunk = get($socket);
        if (!defined $chunk) { $select->can_read; next }
        last if $chunk eq '';
        put($socket, $chunk);
    }
}

sub sink {
    my ($socket) = @_;
    my ($sha, $count) = (Digest::SHA->new(256), 0);
    while (my $got = read($socket, my $chunk, 100_000) // failed()) {
        $sha->add($chunk);
        $count += $got;
    }
    print $socket "$count ", $sha->hexdigest, "\n";
}

sub send_file {
    my ($socket) = @_;
    open(my $from, '<:raw', $file) or die "$file: $!";
    while (sysread($from, my $chunk, 65_536)) {
        put($socket, $chunk);
    }
}

sub tick {
    my ($socket, $count, $interval) = @_;
    my ($turn, $reading, $line, $due) = (0, 1, '', time() + $interval);
    my $select = IO::Select->new($socket);
    $socket->blocking(0);
    while ($reading || $turn < $count) {
        my $wait = $due - time();
        $select->can_read($turn < $count ? ($wait > 0 ? $wait : 0) : undef) if $reading;
        select(undef, undef, undef, $wait) if !$reading && $wait > 0;
        if ($turn < $count && time() >= $due) {
            put($socket, "tick $turn\n");
            $turn++;
            $due += $interval;
        }
        my $chunk = $reading ? get($socket) : undef;
        $reading = 0 if defined $chunk && $chunk eq '';
        $line .= $chunk // '';
        put($socket, $1) if $line =~ s/^(.*\n)//s;
    }
}

sub serve {
    my ($socket) = @_;
    syswrite($socket, "ready\n");
    my $line = <$socket>;
    failed() if !defined $line;
    my ($name, @words) = split ' ', $line;
    if ($name eq 'echo') { echo($socket) }
    if ($name eq 'sink') { sink($socket) }
    if ($name eq 'file') { send_file($socket) }
    if ($name eq 'tick') { tick($socket, $words[0], $words[1] / 1000) }
    if ($name eq 'reset') {
        put($socket, "last words\n");
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    }
    close($socket);
}

my $parent = $$;
my %children;
$SIG{TERM} = sub { kill('TERM', keys %children) if $$ == $parent; exit(0) };
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub {
    while ((my $pid = waitpid(-1, 1)) > 0) { delete $children{$pid} }
};
my $server = IO::Socket::INET->new(
    LocalAddr => $address, LocalPort => $port, Listen => SOMAXCONN, ReuseAddr => 1, Proto => 'tcp')
    or die "listen: $!";
while (1) {
    my $socket = $server->accept or next;
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        close($server);
        serve($socket);
        exit(0);
    }
    $children{$pid} = 1;
    close($socket);
}
