-- Requests of one server for wrk: arguments are a file of bodies (one a line) and headers as name=value.
local requests, at = {}, 0

function init(args)
  local headers = {["Content-Type"] = "application/json"}
  for place = 2, #args do
    local name, value = args[place]:match("^([^=]+)=(.*)$")
    headers[name] = value
  end
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nBENCH {"requests": %d, "seconds": %.6f, "status": %d, "socket": %d, "p50": %.3f, "p99": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
