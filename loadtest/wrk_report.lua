-- What every wrk script here prints at its end: one line of JSON, which loadtest/wrk_run.py reads.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function done(summary, latency, requests)
  local e = summary.errors
  local strange = 0
  for _, thread in ipairs(threads) do strange = strange + (thread:get("strange") or 0) end
  print(string.format(
    '{"requests":%d,"duration_us":%d,"not_2xx":%d,"broken":%d,"strange":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, strange,
    latency:percentile(50), latency:percentile(99), latency.max))
end
