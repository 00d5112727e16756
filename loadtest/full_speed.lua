-- As fast as the server answers: each request is a chunk of its own, prepared as raw bytes before it is needed.
--
--   RUN=name wrk -t1 -c64 -d20s -s loadtest/full_speed.lua http://127.0.0.1:3000/api/chunks/upload
--
-- The same chunks as assignment.js sends, numbered from FIRST_N without a gap (loadtest/workload.py computes the same).

dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "wrk_report.lua")

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

-- Only where they are asked for, because they cost: which chunks were acknowledged, one number a line in this file, and
-- how many answers had a status other than 200 and 503, which overload may not give.
local acknowledged = os.getenv("ACKNOWLEDGED")
if acknowledged then
  local file = io.open(acknowledged, "w")
  strange = 0
  function response(status, _, body)
    if status == 200 then
      file:write(body:match('"chunkId":"[^"]*%-(%d+)"'), "\n")
    elseif status ~= 503 then
      strange = strange + 1
    end
  end
end

-- How long a connection waits after each answer before it sends again, in ms.
local pause_ms = tonumber(os.getenv("PAUSE_MS") or "0")
if pause_ms > 0 then
  function delay()
    return pause_ms
  end
end
