# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# The server of tests/support/services.py in Ruby: a thread for each connection, buffered gets beside readpartial,
# IO.select, and IO.copy_stream, which tries copy_file_range(2), sendfile(2) and splice(2) by itself.

require 'digest/sha2' # loaded at once: digest's own loading at the first use is not safe in threads
require 'socket'

ADDRESS, PORT, FILE = ARGV

def echo(socket)
  # What gets has buffered already comes first.
  loop { socket.write(socket.readpartial(60_000)) }
rescue EOFError
  socket.close_write
end

def sink(socket)
  sha = Digest::SHA256.new
  count = 0
  while (chunk = socket.read(100_000))
    sha << chunk
    count += chunk.bytesize
  end
  socket.puts("#{count} #{sha.hexdigest}")
end

def tick(socket, count, interval)
  turn = 0
  reading = true
  line = +''
  due = now + interval
  while reading || turn < count
    wait = turn < count ? [due - now, 0].max : nil
    ready = IO.select(reading ? [socket] : [], nil, nil, wait)
    if turn < count && now >= due
      socket.write("tick #{turn}\n")
      turn += 1
      due += interval
    end
    next unless ready && reading

    chunk = socket.read_nonblock(4096, exception: false)
    reading = !chunk.nil?
    line << chunk if chunk.is_a?(String)
    socket.write(line.slice!(0..line.rindex("\n"))) if line.include?("\n")
  end
end

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def reset(socket)
  socket.write("last words\n")
  socket.setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER, [1, 0].pack('ii'))
end

def serve(socket)
  socket.write("ready\n")
  name, *words = socket.gets.split
  case name
  when 'echo' then echo(socket)
  when 'sink' then sink(socket)
  when 'file' then File.open(FILE) { |file| IO.copy_stream(file, socket) }
  when 'tick' then tick(socket, words[0].to_i, words[1].to_i / 1000.0)
  when 'reset' then reset(socket)
  end
rescue SystemCallError => e
  $stdout.write("error #{e.class.name.split('::').last}\n")
ensure
  socket.close
end

$stdout.sync = true
trap('TERM') { exit(0) }
server = TCPServer.new(ADDRESS, PORT.to_i)
server.listen(1024)
loop { Thread.new(server.accept) { |socket| serve(socket) } }
