-- As fast as the server answers: each request is a chunk of its own, prepared as raw bytes before it is needed.
--
--   RUN=name wrk -t1 -c64 -d20s -s loadtest/full_speed.lua http://127.0.0.1:3000/api/chunks/upload
--
-- The same chunks as assignment.js sends, numbered from FIRST_N without a gap (loadtest/workload.py computes the same).

local run = os.getenv("RUN") or "wrk"
local FIRST_N = 10000000 -- so many digits for every number, hence one Content-Length
local DATA_CHARS, OFFSETS = 1024, 4096
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local filler = {}
do
  local x = 1
  for i = 1, OFFSETS + DATA_CHARS do
    -- x * 1664525 + 1013904223 modulo 2^32, in two halves that a double holds exactly
    local low, high = x % 65536, math.floor(x / 65536)
    x = ((high * 1664525 % 65536) * 65536 + low * 1664525 + 1013904223) % 4294967296
    local index = math.floor(x / 67108864) + 1
    filler[i] = ALPHABET:sub(index, index)
  end
end
filler = table.concat(filler)

local id_chars = #run + 1 + 8
local content_length = #'{"chunkId":"","data":""}' + id_chars + DATA_CHARS
local head = "POST /api/chunks/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
  .. content_length .. '\r\n\r\n{"chunkId":"'
local n = FIRST_N - 1

function request()
  n = n + 1
  local id = run .. "-" .. n
  local offset = (n * 131) % OFFSETS
  return head .. id .. '","data":"' .. id .. ":" .. filler:sub(offset + 1, offset + DATA_CHARS - #id - 1) .. '"}'
end

-- Only where it is asked for, because it costs: statuses other than 200 and 503, which overload may not give.
if os.getenv("COUNT_STATUSES") then
  strange = 0
  function response(status)
    if status ~= 200 and status ~= 503 then strange = strange + 1 end
  end
end

local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

function done(summary, latency, requests)
  local e = summary.errors
  local strange_answers = 0
  for _, thread in ipairs(threads) do strange_answers = strange_answers + (thread:get("strange") or 0) end
  print(string.format(
    '{"requests":%d,"duration_us":%d,"not_2xx":%d,"broken":%d,"strange":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, strange_answers,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
