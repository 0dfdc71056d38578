#!lua name=hemostat

-- The log of HemoStat: leases, deliveries and the one commit. See README.md for what a migration may do.
--
-- Every function gets all its keys in KEYS; they lie in one slot, because all of them carry the partition as their hash
-- tag (`hemostat:{0}:...`). Arguments are flat, because tables would have to be packed and unpacked. A refusal is an error reply whose first
-- word says which: STALE, CONFLICT, LOST, UNSET. Time is the server's, in whole milliseconds.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- 1764000000000 and never 1.764e+12
local function text(number)
  return string.format('%.0f', number)
end

local function parse(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function is_later(a, b)
  local a_ms, a_seq = parse(a)
  local b_ms, b_seq = parse(b)
  return a_ms > b_ms or (a_ms == b_ms and a_seq > b_seq)
end

-- Calls `command key ...` with all of `list`, a few hundred at a time: Lua can pass only so many arguments.
local CHUNK = 500
local function in_chunks(list, call)
  for first = 1, #list, CHUNK do
    call(unpack(list, first, math.min(first + CHUNK - 1, #list)))
  end
end

-- ---------------------------------------------------------------------------------------------------------------------
-- Once, right after this library was loaded, for each partition. Doing it again changes nothing.
-- KEYS: clock, then the streams
-- ---------------------------------------------------------------------------------------------------------------------
redis.register_function('hemostat_up', function(keys)
  redis.call('SET', keys[1], '0-0', 'NX')
  for i = 2, #keys do
    if redis.call('EXISTS', keys[i]) == 0 then
      redis.call('XGROUP', 'CREATE', keys[i], 'hemostat', '0', 'MKSTREAM')
      redis.call('XGROUP', 'DESTROY', keys[i], 'hemostat')
    end
  end
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- Leases. A hash of owner, epoch, until (ms), reader, and the producer's seq with the first id that it got. It is never
-- deleted: its epoch must never count from the beginning again.
-- ---------------------------------------------------------------------------------------------------------------------

local function stale()
  return redis.error_reply('STALE the lease is held by somebody else')
end

local function holds(lease, epoch)
  local held = redis.call('HMGET', lease, 'epoch', 'owner')
  return held[1] == epoch and held[2] ~= ''
end

-- KEYS: lease   ARGV: owner, how long (ms)   gives the new epoch, or nothing when another holds it
redis.register_function('hemostat_acquire', function(keys, args)
  local lease, owner, ttl = keys[1], args[1], tonumber(args[2])
  local held = redis.call('HMGET', lease, 'owner', 'until')
  local at = now()
  if held[1] and held[1] ~= '' and held[1] ~= owner and tonumber(held[2]) > at then
    return false
  end
  redis.call('HSET', lease, 'owner', owner, 'until', text(at + ttl), 'seq', '0', 'first', '')
  return redis.call('HINCRBY', lease, 'epoch', 1)
end)

-- KEYS: lease   ARGV: epoch, how long (ms)   gives 1, or 0 when it is lost
redis.register_function('hemostat_renew', function(keys, args)
  if not holds(keys[1], args[1]) then
    return 0
  end
  redis.call('HSET', keys[1], 'until', text(now() + tonumber(args[2])))
  return 1
end)

-- KEYS: lease   ARGV: epoch
redis.register_function('hemostat_release', function(keys, args)
  if not holds(keys[1], args[1]) then
    return 0
  end
  redis.call('HSET', keys[1], 'owner', '', 'until', '0')
  return 1
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- Deliveries. The lease's `reader` counts how often the backlog was looked at; a read of an earlier reader, which may
-- have been under way for long, would take entries that nobody sees.
-- ---------------------------------------------------------------------------------------------------------------------

-- The group begins with the first event where it is new.
local function make_group(stream, group)
  local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  return made.err and not string.find(made.err, '^BUSYGROUP') and made or nil
end

-- Everything that is pending, whoever had it, and how often each was handed out. Both ascend and hold the same entries,
-- because claiming drops those that were trimmed away.
local function claim_all(stream, group, consumer)
  local entries, cursor = {}, '0-0'
  repeat
    local claimed = redis.call('XAUTOCLAIM', stream, group, consumer, '0', cursor, 'COUNT', CHUNK)
    cursor = claimed[1]
    for _, entry in ipairs(claimed[2]) do
      entries[#entries + 1] = entry
    end
  until cursor == '0-0'
  local times = {}
  if #entries > 0 then
    for i, pending in ipairs(redis.call('XPENDING', stream, group, '-', '+', #entries)) do
      times[i] = pending[4]
    end
  end
  return entries, times
end

-- Whoever held the lease before has nothing left to do with the group.
local function forget_others(stream, group, consumer)
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    if info[2] ~= consumer then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, info[2])
    end
  end
end

-- The new reader's number and the backlog: for each stream its entries and how often each was handed out.
-- KEYS: lease, then streams   ARGV: epoch, group, consumer
redis.register_function('hemostat_open', function(keys, args)
  local epoch, group, consumer = args[1], args[2], args[3]
  if not holds(keys[1], epoch) then
    return stale()
  end
  local reply = { redis.call('HINCRBY', keys[1], 'reader', 1) }
  for i = 2, #keys do
    local failed = make_group(keys[i], group)
    if failed then
      return failed
    end
    local entries, times = claim_all(keys[i], group, consumer)
    forget_others(keys[i], group, consumer)
    reply[i] = { entries, times }
  end
  return reply
end)

-- New entries of all streams in one instant.
-- KEYS: lease, then streams   ARGV: epoch, reader, group, consumer, how many of each stream
redis.register_function('hemostat_deliver', function(keys, args)
  if not holds(keys[1], args[1]) or redis.call('HGET', keys[1], 'reader') ~= args[2] then
    return stale()
  end
  local read = { 'XREADGROUP', 'GROUP', args[3], args[4], 'COUNT', args[5], 'STREAMS' }
  for i = 2, #keys do
    read[#read + 1] = keys[i]
  end
  for _ = 2, #keys do
    read[#read + 1] = '>'
  end
  return redis.call(unpack(read))
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- The commit: all or nothing. Redis does not roll a function back, so everything that can be refused is looked at before
-- the first write; XACK and ZREM therefore cannot themselves be the test, as they write.
--
-- KEYS: lease, clock, heads, timers, parked, the four streams, then the views of the rows
-- ARGV: group, epoch, seq ('' for none), then lists, each preceded by its length:
--   guards  head field, id ('' for none)
--   acks    stream (index in KEYS), count, ids...     one for each stream
--   fired   member, due (ms)
--   events  stream, kind, subject, cause ('' none, '=n' the n-th event of this commit counted from 0, or an event id),
--           head field ('' when it moves none), envelope
--   rows    view (index in KEYS), key, '1' and the row, or '0' and '' to delete it
--   timers  member, due (ms; '' to cancel it)
--   parked  family, entry id, error
-- Gives the entry id of the first event; the others follow it without a gap. Gives '' when there is no event.
-- ---------------------------------------------------------------------------------------------------------------------

local LEASE, CLOCK, HEADS, TIMERS, PARKED = 1, 2, 3, 4, 5

-- Whether `group` has all of `ids`, which ascend, still pending in `stream`.
local function all_pending(stream, group, ids)
  local range = redis.call('XPENDING', stream, group, ids[1], ids[#ids], #ids)
  if #range < #ids then
    return false
  end
  for i, id in ipairs(ids) do
    -- Others are pending between them: look at each.
    if range[i][1] ~= id and #redis.call('XPENDING', stream, group, id, id, 1) == 0 then
      return false
    end
  end
  return true
end

redis.register_function('hemostat_commit', function(keys, args)
  local group, epoch, seq = args[1], args[2], args[3]
  local at = 3
  local function take()
    at = at + 1
    return args[at]
  end

  -- 1. fence
  if not holds(keys[LEASE], epoch) then
    return stale()
  end
  if seq ~= '' then
    local done = redis.call('HMGET', keys[LEASE], 'seq', 'first')
    local last = tonumber(done[1])
    if tonumber(seq) == last then
      return { 'again', done[2] }
    elseif tonumber(seq) < last then
      return { 'again', '' }
    end
  end

  -- 2. lock
  for guard = 1, tonumber(take()) do
    local head = redis.call('HGET', keys[HEADS], take())
    local known = take()
    if head and (known == '' or is_later(head, known)) then
      return redis.error_reply('CONFLICT ' .. (guard - 1))
    end
  end

  -- 3. once
  local acks = {}
  for _ = 1, tonumber(take()) do
    local stream, ids = keys[tonumber(take())], {}
    for i = 1, tonumber(take()) do
      ids[i] = take()
    end
    if not all_pending(stream, group, ids) then
      return redis.error_reply('LOST a delivery')
    end
    acks[#acks + 1] = { stream, ids }
  end
  local fired = {}
  for i = 1, tonumber(take()) do
    local member = take()
    local due = redis.call('ZSCORE', keys[TIMERS], member)
    if not due or tonumber(due) ~= tonumber(take()) then
      return redis.error_reply('LOST a timer')
    end
    fired[i] = member
  end
  local clock = redis.call('GET', keys[CLOCK])
  if not clock then
    return redis.error_reply('UNSET the partition has no clock')
  end

  -- From here on nothing is refused.
  for _, ack in ipairs(acks) do
    in_chunks(ack[2], function(...)
      redis.call('XACK', ack[1], group, ...)
    end)
  end
  in_chunks(fired, function(...)
    redis.call('ZREM', keys[TIMERS], ...)
  end)

  local events = tonumber(take())
  local first, partition = '', string.match(keys[CLOCK], '{(%d+)}')
  if events > 0 then
    local ms, last_seq = parse(clock)
    local time, next_seq = now(), last_seq + 1
    if time > ms then
      ms, next_seq = time, 0
    end
    local prefix = text(ms) .. '-'
    local function id_of(event)
      return prefix .. text(next_seq + event)
    end
    local heads = {}
    for event = 0, events - 1 do
      local stream, kind, subject = keys[tonumber(take())], take(), take()
      local cause, head, envelope = take(), take(), take()
      local id = id_of(event)
      if cause == '' then
        redis.call('XADD', stream, id, 'k', kind, 's', subject, 'e', envelope)
      else
        local sibling = string.match(cause, '^=(%d+)$')
        if sibling then
          cause = partition .. '.' .. id_of(tonumber(sibling))
        end
        redis.call('XADD', stream, id, 'k', kind, 's', subject, 'c', cause, 'e', envelope)
      end
      if head ~= '' then
        heads[#heads + 1] = head
        heads[#heads + 1] = id
      end
    end
    in_chunks(heads, function(...)
      redis.call('HSET', keys[HEADS], ...)
    end)
    redis.call('SET', keys[CLOCK], id_of(events - 1))
    first = id_of(0)
  end

  for _ = 1, tonumber(take()) do
    local view, key, keep, row = keys[tonumber(take())], take(), take(), take()
    if keep == '1' then
      redis.call('HSET', view, key, row)
    else
      redis.call('HDEL', view, key)
    end
  end
  for _ = 1, tonumber(take()) do
    local member, due = take(), take()
    if due == '' then
      redis.call('ZREM', keys[TIMERS], member)
    else
      redis.call('ZADD', keys[TIMERS], due, member)
    end
  end
  for _ = 1, tonumber(take()) do
    redis.call('XADD', keys[PARKED], '*', 'g', group, 'f', take(), 'i', take(), 'e', take())
  end
  if seq ~= '' then
    redis.call('HSET', keys[LEASE], 'seq', seq, 'first', first)
  end
  return first
end)
