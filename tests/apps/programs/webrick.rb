# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# WEBrick over a directory, and a servlet that sums what is posted: serve ADDRESS PORT DIRECTORY. Net::HTTP as its client:
# fetch ADDRESS PORT.

require 'digest/sha2' # loaded at once: digest's own loading at the first use is not safe in threads

def serve(address, port, directory)
  require 'webrick'
  server = WEBrick::HTTPServer.new(
    BindAddress: address, Port: port.to_i, DocumentRoot: directory, AccessLog: [],
    Logger: WEBrick::Log.new(File::NULL)
  )
  server.mount_proc('/sum') { |request, response| response.body = Digest::SHA256.hexdigest(request.body) }
  trap('TERM') { server.shutdown }
  server.start
end

# Whether the answer is the body's sum; what it was otherwise goes to stderr.
def post(http, body)
  answer = http.post('/sum', body)
  return true if answer.body == Digest::SHA256.hexdigest(body)

  warn "#{body.size} bytes: #{answer.code} #{answer.message}: #{answer.body.inspect[0, 400]}"
end

def fetch(address, port)
  require 'net/http'
  workers = Array.new(20) do |number|
    Thread.new do
      body = Random.bytes((number + 1) * 10_007)
      Net::HTTP.start(address, port.to_i, nil) do |http|
        Array.new(10) { post(http, body) }.all?
      end
    end
  end
  puts "post #{workers.count(&:value)}"
  sha = Digest::SHA256.new
  Net::HTTP.start(address, port.to_i, nil) do |http|
    http.request_get('/file') { |response| response.read_body { |chunk| sha << chunk } }
    puts "file #{sha.hexdigest}"
    puts "missing #{http.get('/missing').code}"
  end
end

send(*ARGV)
