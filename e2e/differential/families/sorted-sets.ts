import type { CaseFamily } from '../case-family.ts';

export const sortedSets: CaseFamily = {
  name: 'sorted sets and places',
  lines: String.raw`
ZADD {a}z 1 a 2 b 3 c
ZADD {a}z NX 5 a
ZADD {a}z XX CH 5 a
ZADD {a}z GT CH 4 a
ZADD {a}z INCR 1.5 a
ZADD {a}z NX XX 1 a
ZADD {a}z inf d -inf e
ZADD {a}z nan x
ZADD {a}z abc x
ZSCORE {a}z a
ZSCORE {a}z d
ZSCORE {a}z nothing
ZMSCORE {a}z a nothing d
ZINCRBY {a}z 0.1 b
ZCARD {a}z
ZCOUNT {a}z 1 (5
ZCOUNT {a}z x y
ZRANK {a}z a
ZRANK {a}z a WITHSCORE
ZRANK {a}z nothing
ZREVRANK {a}z a
ZREVRANK {a}z nothing WITHSCORE
ZRANGE {a}z 0 -1
ZRANGE {a}z 0 -1 WITHSCORES
ZRANGE {a}z 1 3 BYSCORE LIMIT 0 1
ZRANGE {a}z 3 1 BYSCORE REV WITHSCORES
ZRANGE {a}z [a [c BYLEX
ZRANGE {a}z 0 1 LIMIT 0 1
ZREVRANGE {a}z 0 1 WITHSCORES
ZRANGEBYSCORE {a}z -inf +inf WITHSCORES LIMIT 1 2
ZREVRANGEBYSCORE {a}z +inf 0 WITHSCORES
ZRANGESTORE {a}o {a}z 0 1
ZADD {a}lex 0 a 0 b 0 c 0 d
ZRANGEBYLEX {a}lex [b (d
ZREVRANGEBYLEX {a}lex + -
ZLEXCOUNT {a}lex [b +
ZLEXCOUNT {a}lex b c
ZREMRANGEBYLEX {a}lex [a [a
ZREMRANGEBYRANK {a}lex 0 0
ZREMRANGEBYSCORE {a}z (3 4
ZADD {a}y 1 a 2 b 9 q
ZUNION 2 {a}z {a}y WITHSCORES
ZUNION 2 {a}z {a}y WEIGHTS 2 3 AGGREGATE MAX WITHSCORES
ZINTER 2 {a}z {a}y WITHSCORES
ZINTERCARD 2 {a}z {a}y LIMIT 1
ZDIFF 2 {a}y {a}z WITHSCORES
ZUNIONSTORE {a}o 2 {a}z {a}y
ZINTERSTORE {a}o 2 {a}z {a}y WEIGHTS 1 x
ZINTERSTORE {a}o 2 {a}z {a}y
ZDIFFSTORE {a}o 2 {a}z {a}y
ZUNION 0 {a}z
ZUNION 5 {a}z
ZPOPMIN {a}y
ZPOPMAX {a}y 2
ZPOPMIN {a}nothing
ZPOPMAX {a}nothing 2
ZADD {a}y 1 a 2 b 3 c 4 d 5 e
ZMPOP 2 {a}nothing {a}y MIN COUNT 2
ZMPOP 1 {a}nothing MAX
BZPOPMIN {a}nothing {a}y 1
BZPOPMAX {a}y 1
BZPOPMIN {a}nothing 0.02
BZPOPMAX {a}nothing 0.02
BZMPOP 1 1 {a}y MAX
BZMPOP 0.02 1 {a}nothing MIN
ZREM {a}z a nothing
ZSCAN {a}z 0
ZSCAN {a}z 0 MATCH b
ZSCAN {a}z 0 NOSCORES
ZADD {a}one 1.5 x
ZRANDMEMBER {a}one
ZRANDMEMBER {a}one 1 WITHSCORES
ZRANDMEMBER {a}one -2 WITHSCORES
ZRANDMEMBER {a}nothing
SET {a}str x
ZADD {a}str 1 a
ZRANGE {a}str 0 -1
GEOADD {a}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
GEOADD {a}g 200 100 nowhere
GEODIST {a}g Palermo Catania km
GEODIST {a}g Palermo nothing
GEOHASH {a}g Palermo nothing
GEOPOS {a}g Palermo nothing
GEOSEARCH {a}g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
GEOSEARCH {a}g FROMMEMBER Palermo BYBOX 400 400 km DESC COUNT 1
GEOSEARCH {a}g BYRADIUS 200 km
GEOSEARCHSTORE {a}g2 {a}g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST
GEORADIUS {a}g 15 37 200 km WITHDIST ASC
GEORADIUS {a}g 15 37 200 km STORE {a}g3
GEORADIUS_RO {a}g 15 37 200 km ASC
GEORADIUSBYMEMBER {a}g Palermo 300 km ASC
GEORADIUSBYMEMBER {a}g Palermo 300 km STORE {a}g3
GEORADIUSBYMEMBER_RO {a}g Palermo 300 km ASC
ZRANGE {a}g2 0 -1 WITHSCORES
`,
};
