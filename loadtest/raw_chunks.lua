-- The same bodies as raw bytes to Holdfast (PUT of a recording's chunk) or to tusd (POST that creates and uploads at once).
--
-- BODIES is a folder that loadtest/beside_tusd.py prepared: body-1, body-2, … and digests, a base64 SHA-256 a line.

dofile(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "wrk_report.lua")

local folder, recording_id = os.getenv("BODIES"), os.getenv("RECORDING_ID")
local bodies, heads = {}, {}
for digest in io.lines(folder .. "/digests") do
  local file = io.open(folder .. "/body-" .. #bodies + 1, "rb")
  local body = file:read("*a")
  file:close()
  bodies[#bodies + 1] = body
  if recording_id then
    heads[#bodies] = " HTTP/1.1\r\nHost: localhost\r\nContent-Digest: sha-256=:" .. digest
      .. ":\r\nChunk-Run: 0\r\nContent-Length: " .. #body .. "\r\n\r\n"
  else
    heads[#bodies] = "POST /files/ HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Length: " .. #body
      .. "\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: " .. #body .. "\r\n\r\n"
  end
end

local n = tonumber(os.getenv("FIRST_INDEX") or "0")
local path = recording_id and "PUT /api/recordings/" .. recording_id .. "/chunks/" or nil

function request()
  local i = n % #bodies + 1
  local head = path and path .. n .. heads[i] or heads[i]
  n = n + 1
  return head .. bodies[i]
end
