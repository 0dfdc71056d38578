#!lua name=hemostat

-- The log of HemoStat: leases, deliveries, the commit, and its upkeep. Since 0002: samples have a stream of their own; one
-- heartbeat of a process renews all of its leases; commands are appended without a lease, at most once per key, and
-- redrive and discard dead letters.
-- See README.md for what a migration may do.
--
-- Every function gets all its keys in KEYS; they lie in one slot, because all of them carry the partition as their hash
-- tag (`hemostat:{0}:...`). Arguments are flat, but for what tells of events, of which there may be hundreds. A refusal is an error reply whose first
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

-- Low sequences of ids as text, once they were needed: writing a number out costs as much as a tenth of adding an entry.
local SEQUENCES = {}
local function sequence(seq)
  local written = SEQUENCES[seq]
  if not written then
    written = text(seq)
    if seq < 4096 then
      SEQUENCES[seq] = written
    end
  end
  return written
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
-- Sessions and leases. A session says that a process lives: a member of the sorted set `sessions`, by when (ms) it ends, and
-- in the hash `processes` what the process says about itself. One heartbeat renews the session, and with it every lease of
-- the process. A lease is a hash of owner, epoch, reader, and the producer's seq with the first id that it got. It is never
-- deleted: its epoch must never count from the beginning again. Leases of 0002 have an `until` (ms) of their own.
-- ---------------------------------------------------------------------------------------------------------------------

local function stale()
  return redis.error_reply('STALE the lease is held by another process')
end

-- A fence is `epoch|owner`. The owner counts as well: after a failover to a replica that had not heard of the last
-- acquisition, two could hold the same epoch.
local function holds(lease, fence)
  local held = redis.call('HMGET', lease, 'epoch', 'owner')
  return held[1] and held[2] ~= '' and held[1] .. '|' .. held[2] == fence
end

local function is_alive(sessions, owner, at)
  local ends = redis.call('ZSCORE', sessions, owner)
  return ends and tonumber(ends) > at
end

-- A session never ends earlier than its process was told.
local function renew(sessions, owner, ttl)
  redis.call('ZADD', sessions, 'GT', text(now() + tonumber(ttl)), owner)
end

-- What live processes say about themselves, and the requested handoffs: owner, text, ..., and the requests.
local function live(sessions, processes, handoffs)
  local at, found = now(), {}
  for _, owner in ipairs(redis.call('ZRANGE', sessions, '(' .. text(at), '+inf', 'BYSCORE')) do
    local says = redis.call('HGET', processes, owner)
    if says then
      found[#found + 1] = owner
      found[#found + 1] = says
    end
  end
  return { found, redis.call('ZRANGE', handoffs, '(' .. text(at), '+inf', 'BYSCORE') }
end

-- KEYS: lease, sessions   ARGV: owner, how long (ms)   gives the new epoch, or nothing when another process holds it
redis.register_function('hemostat_acquire', function(keys, args)
  local lease, sessions, owner, at = keys[1], keys[2], args[1], now()
  local held = redis.call('HMGET', lease, 'owner', 'until')
  if held[1] and held[1] ~= '' and held[1] ~= owner then
    if is_alive(sessions, held[1], at) or tonumber(held[2] or 0) > at then
      return false
    end
  end
  renew(sessions, owner, args[2])
  redis.call('HDEL', lease, 'until')
  redis.call('HSET', lease, 'owner', owner, 'seq', '0', 'first', '')
  return redis.call('HINCRBY', lease, 'epoch', 1)
end)

-- Renews the session of a lease's owner. Writes in any case: a process that confirms waits for this write.
-- KEYS: lease, sessions   ARGV: fence, owner, how long (ms)   gives 1, or 0 when the lease is lost
redis.register_function('hemostat_renew', function(keys, args)
  if not holds(keys[1], args[1]) then
    return 0
  end
  renew(keys[2], args[2], args[3])
  redis.call('HSET', keys[1], 'owner', args[2])
  return 1
end)

-- The heartbeat of a process.
-- KEYS: sessions, processes, handoffs, then leases   ARGV: owner, how long (ms), what it says, then the fence of each lease
-- Gives for each lease 1, or 0 when it is lost; then as `hemostat_sessions`.
redis.register_function('hemostat_heartbeat', function(keys, args)
  local sessions, processes, owner, says = keys[1], keys[2], args[1], args[3]
  for _, ended in ipairs(redis.call('ZRANGE', sessions, '-inf', text(now()), 'BYSCORE')) do
    redis.call('ZREM', sessions, ended)
    redis.call('HDEL', processes, ended)
  end
  renew(sessions, owner, args[2])
  if redis.call('HGET', processes, owner) ~= says then
    redis.call('HSET', processes, owner, says)
  end
  local held = {}
  for i = 4, #keys do
    held[i - 3] = holds(keys[i], args[i]) and 1 or 0
  end
  return { held, live(sessions, processes, keys[3]) }
end)

-- KEYS: sessions, processes, handoffs
redis.register_function('hemostat_sessions', function(keys)
  return live(keys[1], keys[2], keys[3])
end)

-- Requests for a time that a member takes over. KEYS: handoffs   ARGV: the request, how long (ms)
redis.register_function('hemostat_request_handoff', function(keys, args)
  local at = now()
  redis.call('ZREMRANGEBYSCORE', keys[1], '-inf', text(at))
  redis.call('ZADD', keys[1], text(at + tonumber(args[2])), args[1])
  return 1
end)

local function give_back(lease)
  redis.call('HSET', lease, 'owner', '')
end

-- KEYS: lease   ARGV: fence
redis.register_function('hemostat_release', function(keys, args)
  if not holds(keys[1], args[1]) then
    return 0
  end
  give_back(keys[1])
  return 1
end)

-- Takes a lease from its holder; the next holder begins again from the log.
-- KEYS: lease
local function recall(lease)
  if redis.call('EXISTS', lease) == 1 then
    give_back(lease)
  end
end

redis.register_function('hemostat_recall', function(keys)
  recall(keys[1])
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

-- The new reader's number and the backlog: for each stream its entries and how often each was handed out. Entries are
-- given as XRANGE does, but packed into one string, which costs much less than an answer of thousands of parts.
-- KEYS: lease, then streams   ARGV: fence, group, consumer
redis.register_function('hemostat_open', function(keys, args)
  local fence, group, consumer = args[1], args[2], args[3]
  if not holds(keys[1], fence) then
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
    reply[i] = { cmsgpack.pack(entries), times }
  end
  return reply
end)

-- New entries of all streams in one instant, packed.
-- KEYS: lease, then streams   ARGV: fence, reader, group, consumer, how many of each stream
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
  local streams = redis.call(unpack(read))
  for _, stream in ipairs(streams or {}) do
    stream[2] = cmsgpack.pack(stream[2])
  end
  return streams
end)

-- What lies between two ids, stream by stream: at most `limit` entries of each, and of the later ones nothing beyond the
-- last of those, where there were as many. So what is complete in all of them is not fewer than `limit`, where there are
-- as many at all, and hardly more: the first stream is to be the one that has the most.
-- KEYS: streams   ARGV: 'XRANGE' or 'XREVRANGE', the id where it begins, the one where it ends, limit
redis.register_function('hemostat_read', function(keys, args)
  local command, first, last, limit = args[1], args[2], args[3], args[4]
  local streams = {}
  for i, stream in ipairs(keys) do
    local entries = redis.call(command, stream, first, last, 'COUNT', limit)
    if #entries == tonumber(limit) then
      last = entries[#entries][1]
    end
    streams[i] = cmsgpack.pack(entries)
  end
  return streams
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- The commit: all or nothing. Redis does not roll a function back, so everything that can be refused is looked at before
-- the first write; XACK and ZREM therefore cannot themselves be the test, as they write.
--
-- KEYS: lease, clock, heads, timers, parked, the five streams, cursors, views, then the rows of views
-- ARGV: group, fence, seq ('' for none), then lists, each preceded by its length:
--   guards  head field, id ('' for none)
--   acks    stream (index in KEYS), count, ids...     one for each stream
--   fired   member, due (ms)
--   events  where there are any: two lists, packed as MessagePack, of texts and of numbers; then the envelope of each event.
--           The numbers are, for each event: stream (index in KEYS), kind and subject (indices in the texts), cause (0 none,
--           -n the n-th event of this commit counted from 1, else the index of an event id in the texts)
--   heads   head field, the event (counted from 0) that it is moved to; only where there are events
--   rows    view (index in KEYS), key, '1' and the row, or '0' and '' to delete it
--   timers  member, due (ms; '' to cancel it)
--   parked  family, entry id, error
--   cursor  0, or 1 and how far the group has come (see Cursor)
--   views   name and the view that is served under it, or '' and the view (index in KEYS) whose rows are deleted
-- Gives the entry id of the first event; the others follow it without a gap. Gives '' when there is no event.
-- ---------------------------------------------------------------------------------------------------------------------

local LEASE, CLOCK, HEADS, TIMERS, PARKED, CURSORS, VIEWS = 1, 2, 3, 4, 5, 11, 12

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

-- The first guard whose version has advanced, as an error.
local function conflicting(keys, take)
  for guard = 1, tonumber(take()) do
    local head = redis.call('HGET', keys[HEADS], take())
    local known = take()
    if head and (known == '' or is_later(head, known)) then
      return redis.error_reply('CONFLICT ' .. (guard - 1))
    end
  end
end

-- Appends the events that come after `args[at]`, and moves the heads. Gives the id of the first ('' when there is none), where
-- the arguments go on, and how many events there are.
local function append_events(keys, args, at, clock)
  local function take()
    at = at + 1
    return args[at]
  end
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
      return prefix .. sequence(next_seq + event)
    end
    -- This is what a busy log spends its time on, so each global is looked up once and no function is called that need not
    -- be. Lua hashes all of each string that it is given: what comes again comes as a number.
    local packed, call = cmsgpack.unpack(take()), redis.call
    local texts, plan, id, seq = packed[1], packed[2], nil, next_seq
    for i = 1, 4 * events, 4 do
      at, id, seq = at + 1, prefix .. sequence(seq), seq + 1
      local stream, kind, subject, cause = keys[plan[i]], texts[plan[i + 1]], texts[plan[i + 2]], plan[i + 3]
      if cause == 0 then
        call('XADD', stream, id, 'k', kind, 's', subject, 'e', args[at])
      else
        cause = cause > 0 and texts[cause] or partition .. '.' .. id_of(-cause - 1)
        call('XADD', stream, id, 'k', kind, 's', subject, 'c', cause, 'e', args[at])
      end
    end
    local heads = {}
    for head = 1, 2 * tonumber(take()), 2 do
      heads[head] = take()
      heads[head + 1] = id_of(tonumber(take()))
    end
    in_chunks(heads, function(...)
      redis.call('HSET', keys[HEADS], ...)
    end)
    redis.call('SET', keys[CLOCK], id_of(events - 1))
    first = id_of(0)
  end
  return first, at, events
end

redis.register_function('hemostat_commit', function(keys, args)
  local group, fence, seq = args[1], args[2], args[3]
  local at = 3
  local function take()
    at = at + 1
    return args[at]
  end

  -- 1. fence
  if not holds(keys[LEASE], fence) then
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
  local conflict = conflicting(keys, take)
  if conflict then
    return conflict
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

  local first
  first, at = append_events(keys, args, at, clock)

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
  if take() == '1' then
    redis.call('HSET', keys[CURSORS], group, take())
  end
  for _ = 1, tonumber(take()) do
    local name, view = take(), take()
    if name ~= '' then
      redis.call('HSET', keys[VIEWS], name, view)
    else
      redis.call('UNLINK', keys[tonumber(view)])
    end
  end
  if seq ~= '' then
    redis.call('HSET', keys[LEASE], 'seq', seq, 'first', first)
  end
  return first
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- Appends without a lease, at most once per key: for commands, which any process may append. All or nothing, as the commit.
--
-- KEYS: as of the commit, but first what was appended with this key, instead of the lease
-- ARGV: how long the key is remembered (s), then
--   guards  head field, id ('' for none); preceded by their number
--   letter  '' or the dead letter that is settled, with what happens to it:
--           'discard'
--           'deliver', group, stream (index in KEYS), entry, lease (index), then rows to delete: their number, view (index), key
--           'rebuild', group, lease (index), view
--   events  as of the commit
-- Gives 'first' or 'again', and the entry id of the first event and the number of events as they were at first.
-- ---------------------------------------------------------------------------------------------------------------------
redis.register_function('hemostat_append', function(keys, args)
  local done = redis.call('GET', keys[1])
  if done then
    return { 'again', done }
  end
  local at = 1
  local function take()
    at = at + 1
    return args[at]
  end
  local conflict = conflicting(keys, take)
  if conflict then
    return conflict
  end
  local clock = redis.call('GET', keys[CLOCK])
  if not clock then
    return redis.error_reply('UNSET the partition has no clock')
  end

  local letter = take()
  if letter ~= '' then
    if #redis.call('XRANGE', keys[PARKED], letter, letter) == 0 then
      return redis.error_reply('LOST a dead letter')
    end
    local how = take()
    if how == 'deliver' then
      -- As handed out once: what was done about it may be out in the world.
      local group, stream, entry, lease = take(), keys[tonumber(take())], take(), keys[tonumber(take())]
      local claimed = redis.pcall('XCLAIM', stream, group, 'hemostat', 0, entry, 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
      if claimed.err and not string.find(claimed.err, '^NOGROUP') then
        return claimed
      end
      if not claimed.err and #claimed == 0 then
        return redis.error_reply('GONE the entry is no longer in the stream')
      end
      for _ = 1, tonumber(take()) do
        redis.call('HDEL', keys[tonumber(take())], take())
      end
      recall(lease)
    elseif how == 'rebuild' then
      local group, lease, view = take(), keys[tonumber(take())], take()
      redis.call('HSET', keys[VIEWS], group .. '+', view)
      recall(lease)
    end
    -- The dead letter of a view stays until the rebuild begins, which deletes all of them.
    if how ~= 'rebuild' then
      redis.call('XDEL', keys[PARKED], letter)
    end
  end

  local first, _, events = append_events(keys, args, at, clock)
  done = first .. ' ' .. events
  redis.call('SET', keys[1], done, 'EX', args[1])
  return { 'first', done }
end)

-- ---------------------------------------------------------------------------------------------------------------------
-- Looking after the log: trimming, parked deliveries, inspection.
-- ---------------------------------------------------------------------------------------------------------------------

-- A reply of names and values, as a table.
local function fields_of(reply)
  local fields = {}
  for i = 1, #reply, 2 do
    fields[reply[i]] = reply[i + 1]
  end
  return fields
end

local function next_after(id)
  local ms, seq = parse(id)
  return text(ms) .. '-' .. text(seq + 1)
end

-- Deletes what came before an entry, as far as every reader has dealt with it.
-- KEYS: stream, cursors, trimmed   ARGV: entry id, family
-- Gives how many are gone, and who has not dealt with more ('' for nobody).
redis.register_function('hemostat_trim', function(keys, args)
  local stream, before, family, held_by = keys[1], args[1], args[2], ''
  local function not_past(id, who)
    if is_later(before, id) then
      before, held_by = id, who
    end
  end
  if redis.call('EXISTS', stream) == 0 then
    return { 0, '' }
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = fields_of(info)
    not_past(next_after(group['last-delivered-id']), group['name'])
    local pending = redis.call('XPENDING', stream, group['name'])
    if pending[1] > 0 then
      not_past(pending[2], group['name'])
    end
  end
  local cursors = redis.call('HGETALL', keys[2])
  for i = 1, #cursors, 2 do
    local id, families = string.match(cursors[i + 1], '^(%d+%-%d+)|(.*)$')
    if id and string.find(',' .. families .. ',', ',' .. family .. ',', 1, true) then
      not_past(next_after(id), cursors[i])
    end
  end
  local last = redis.call('XREVRANGE', stream, '(' .. before, '-', 'COUNT', 1)[1]
  if not last then
    return { 0, held_by }
  end
  local removed = redis.call('XTRIM', stream, 'MINID', '=', before)
  redis.call('HSET', keys[3], family, last[1])
  return { removed, held_by }
end)

-- What a partition holds beside events and rows, at one instant.
-- KEYS: clock, heads, timers, cursors, views, trimmed, the five streams   ARGV: how many pending entries of each group
redis.register_function('hemostat_inspect', function(keys, args)
  local streams = {}
  for i = 7, #keys do
    if redis.call('EXISTS', keys[i]) == 1 then
      local groups = {}
      for _, info in ipairs(redis.call('XINFO', 'GROUPS', keys[i])) do
        local group, pending = fields_of(info), {}
        for j, entry in ipairs(redis.call('XPENDING', keys[i], group['name'], '-', '+', args[1])) do
          pending[j] = entry[1]
        end
        groups[#groups + 1] = { group['name'], group['last-delivered-id'], pending }
      end
      local first = redis.call('XRANGE', keys[i], '-', '+', 'COUNT', 1)[1]
      local last = redis.call('XREVRANGE', keys[i], '+', '-', 'COUNT', 1)[1]
      streams[#streams + 1] =
        { i - 6, redis.call('XLEN', keys[i]), first and first[1] or '', last and last[1] or '', groups }
    end
  end
  return {
    redis.call('GET', keys[1]),
    redis.call('HGETALL', keys[2]),
    redis.call('ZRANGE', keys[3], 0, -1, 'WITHSCORES'),
    redis.call('HGETALL', keys[4]),
    redis.call('HGETALL', keys[5]),
    redis.call('HGETALL', keys[6]),
    streams,
  }
end)

-- One step of a walk over all names of keys that match; the key only says on which server.
-- KEYS: any of the partition   ARGV: cursor, pattern
redis.register_function('hemostat_names', function(_, args)
  return redis.call('SCAN', args[1], 'MATCH', args[2], 'COUNT', 1000)
end)
