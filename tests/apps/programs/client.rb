# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# A client of tests/support/services.py in Ruby: ADDRESS PORT COUNT BYTES.

require 'digest/sha2' # loaded at once: digest's own loading at the first use is not safe in threads
require 'securerandom'
require 'socket'
require 'stringio'

ADDRESS, PORT, COUNT, BYTES = ARGV

def open_service(name)
  socket = TCPSocket.new(ADDRESS, PORT.to_i)
  raise 'no greeting' unless socket.gets == "ready\n"

  socket.write("#{name}\n")
  socket
end

# A thread that writes and one that reads, through IO.copy_stream.
def echo
  socket = open_service('echo')
  bytes = SecureRandom.bytes(BYTES.to_i)
  writer = Thread.new do
    IO.copy_stream(StringIO.new(bytes), socket)
    socket.close_write
  end
  back = socket.read
  writer.join
  socket.close
  back == bytes
end

# Sockets that do not block, all of them in one IO.select.
def connect_all(count)
  waiting = Array.new(count) do
    socket = Socket.new(:INET, :STREAM)
    socket.connect_nonblock(Addrinfo.tcp(ADDRESS, PORT.to_i), exception: false)
    socket
  end
  right = 0
  reading = []
  until waiting.empty? && reading.empty?
    readable, writable, = IO.select(reading, waiting)
    writable.each do |socket|
      waiting.delete(socket)
      raise 'no connection' unless socket.getsockopt(:SOCKET, :ERROR).int.zero?

      socket.write("echo\nhello\n")
      socket.close_write
      reading << socket
    end
    readable.each do |socket|
      next unless (text = socket.read_nonblock(100, exception: false)) != :wait_readable

      right += text.to_s.count("\n")
      reading.delete(socket) if text.nil?
    end
  end
  right
end

# From the socket into a file: splice(2) where IO.copy_stream can.
def download
  socket = open_service('file')
  File.open('downloaded', 'wb') { |file| IO.copy_stream(socket, file) }
  Digest::SHA256.file('downloaded').hexdigest
end

puts "echo #{Array.new(COUNT.to_i) { Thread.new { echo } }.count(&:value)}"
puts "select #{connect_all(COUNT.to_i)}"
puts "file #{download}"
