import {randomUUID} from 'node:crypto'
import {DrError, messageOf, preflightError} from '../errors.ts'
import {connect, endQuietly, rowOf, type Client} from './connection.ts'
import type {Target} from './target.ts'

/** A setting that no pooler knows, so that none carries it from one server session to the next. */
const SETTING = 'dr.pooler_check'
const SETTING_AT_START = 'dr.pooler_check_at_start'

interface Seen {
  pid: number
  value: string | null
  atStart: string | null
}

const PROBE = `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('${SETTING}', true) AS value, pg_catalog.current_setting('${SETTING_AT_START}', true) AS "atStart"`

/**
 * Tells a pooler by deed; the same host and port say nothing, pgbouncer also listens on 5432. In transaction mode a
 * second connection gets the backend of the idle first one, or a setting is lost, or seen where it was not set; many
 * poolers also refuse or drop what is asked for at the start of a session, which pg_restore needs.
 */
export async function assertNoPooler(client: Client, target: Target): Promise<void> {
  const mark = randomUUID()
  await client.query(`SET ${SETTING} = '${mark}'`)
  const first = await rowOf<Seen>(client, PROBE)
  const other = await connect(target, {applicationName: 'dr pooler check', startupOptions: `-c ${SETTING_AT_START}=${mark}`}).catch((error: unknown) => { throw refusesOptions(error) ? dropsOptions(error) : error })
  try {
    const second = await rowOf<Seen>(other, PROBE)
    const again = await rowOf<Seen>(client, PROBE)
    if (second.pid === first.pid || again.pid !== first.pid || again.value !== mark || (second.value ?? '') !== '') throw sharesSessions()
    if (second.atStart !== mark) throw dropsOptions()
    await client.query(`RESET ${SETTING}`)
  } finally {
    await endQuietly(other)
  }
}

const HINTS = ['Set DATABASE_URL to the direct address of the database.']

const refusesOptions = (error: unknown): boolean => /unsupported startup parameter/i.test(`${messageOf(error)} ${error instanceof DrError ? messageOf(error.cause) : ''}`)

const sharesSessions = (): DrError => preflightError('postgres.pooler', 'This connection goes through a pooler in transaction mode: a snapshot cannot be held there.', {hints: HINTS})

const dropsOptions = (cause?: unknown): DrError => preflightError('postgres.pooler', 'This connection goes through a pooler that does not pass on the settings of a session.', {cause, hints: HINTS})
