import {randomInt} from 'node:crypto'
import {rowOf, type Client} from './connection.ts'

const MOST_KEY = 2 ** 47

/**
 * Whether two sessions are in the same database of the same running server. Identifiers of a cluster and of its databases do
 * not tell: a point-in-time copy has those of its source. A lock of one session is seen by the other, or not.
 */
export async function isSameDatabase(one: Client, other: Client): Promise<boolean> {
  const key = randomInt(MOST_KEY)
  await one.query('SELECT pg_catalog.pg_advisory_lock($1)', [key])
  try {
    const {seen} = await rowOf<{seen: boolean}>(other, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
      WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = pg_catalog.current_database() AND (l.classid::int8 << 32) + l.objid::int8 = $1) AS seen`, [key])
    return seen
  } finally {
    await one.query('SELECT pg_catalog.pg_advisory_unlock($1)', [key])
  }
}
