import type { CaseFamily } from '../case-family.ts';

export const scripts: CaseFamily = {
  name: 'scripts and functions',
  lines: String.raw`
EVAL "return {1,2,'three',{4}}" 0
EVAL "return redis.call('SET',KEYS[1],ARGV[1])" 1 {a}k v
EVAL "return redis.call('GET',KEYS[1])" 1 {a}k
EVAL "return redis.error_reply('MY error')" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "redis.setresp(3); return {double=3.5}" 0
EVAL "redis.setresp(3); return {map={a=1}}" 0
EVAL "return redis.call('INCR',KEYS[1])" 1 {a}k
EVAL "return redis.pcall('INCR',KEYS[1])['err']" 1 {a}k
EVAL "syntax error here" 0
EVAL "return 1" abc
EVAL "return 1" -1
EVAL "return 1" 3 {a}k
EVAL "return KEYS" 2 {a}1 {a}2
EVAL "return {false, true, nil, 1}" 0
EVAL_RO "return redis.call('GET',KEYS[1])" 1 {a}k
EVAL_RO "return redis.call('SET',KEYS[1],'x')" 1 {a}k
SCRIPT LOAD "return {KEYS[1],ARGV[1]}"
SCRIPT LOAD "not lua"
SCRIPT EXISTS 2a5ef4d1a9a2a5ba4ac8a1c5b8ad4b6ab35ab9fb e0e1f9fabfc9d4800c877a703b823ac0578ff8db
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA 0000000000000000000000000000000000000000 0
EVALSHA_RO 0000000000000000000000000000000000000000 0
SCRIPT SHOW 0000000000000000000000000000000000000000
SCRIPT HELP
SCRIPT KILL
SCRIPT FLUSH
SCRIPT FLUSH ASYNC
SCRIPT FLUSH nonsense
FUNCTION LOAD "#!lua name=lib\nserver.register_function('put', function(k,a) return server.call('SET',k[1],a[1]) end)\nserver.register_function{function_name='see', callback=function(k,a) return server.call('GET',k[1]) end, flags={'no-writes'}}"
FUNCTION LOAD "#!lua name=lib\nserver.register_function('put', function(k,a) return 1 end)"
FUNCTION LOAD REPLACE "#!lua name=other\nserver.register_function('one', function(k,a) return 1 end)"
FUNCTION LOAD "no shebang"
~ FUNCTION LIST
FUNCTION LIST LIBRARYNAME other WITHCODE
FUNCTION LIST nonsense
FUNCTION STATS
FUNCTION KILL
FUNCTION HELP
? FUNCTION DUMP
FUNCTION RESTORE garbage
FCALL put 1 {a}f value
FCALL see 1 {a}f
FCALL nothing 0
FCALL put 1 {a}f
FCALL_RO see 1 {a}f
FCALL_RO put 1 {a}f v
FUNCTION DELETE other
FUNCTION DELETE other
FUNCTION FLUSH
FUNCTION FLUSH nonsense
FUNCTION LIST
`,
};
