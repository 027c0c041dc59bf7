import {rm} from 'node:fs/promises'
import type {RestoreResult} from '../src/commands/restore/index.ts'
import {withClient, rowOf} from '../src/lib/postgres/connection.ts'
import {shellCommand} from '../src/lib/ui/shell.ts'
import {outageOf, startLoad, type ClientReport} from '../test/support/load.ts'
import {until} from '../test/support/until.ts'
import {DATA, runDr} from './dr.ts'
import type {Lab} from './lab.ts'
import {REPOSITORY, type Archive} from './restores.ts'
import type {Sample, Variant} from './variants.ts'

/** What stands for the live database: the sample database itself is what everything else is measured on. */
const LIVE = 'bench_live'
const CLIENTS = 10
const WARM_ROUNDS = 200

/**
 * Puts the archive in the place of a database that clients read, write and reconnect to, and back again; and the old way,
 * `pg_restore -c` into that database. The outage is what the clients saw.
 */
export async function swapVariants(lab: Lab, archive: Archive): Promise<Variant[]> {
  await lab.createEmpty(LIVE)
  await lab.measure({argv: [lab.tool('pg_restore'), `-j${lab.jobs}`, '-d', LIVE, archive.folder], env: lab.toolEnvironment()})
  const {environment, source: {database}, label} = archive.manifest
  const dr = (...args: string[]) => underLoad(lab, async () => {
    await lab.fresh(DATA)
    const run = await runDr<Partial<RestoreResult>>(lab, args, {DATABASE_URL: lab.url(LIVE), DR_LOCAL_DIRECTORY: lab.path(REPOSITORY)})
    await rm(lab.path(DATA), {recursive: true})
    return run
  })
  return [
    {id: 'v', title: `dr restore --swap, ${CLIENTS} clients at work`, run: () => dr('restore', label, '--swap', '--from', `${environment}/${database}`, '--confirm', LIVE, '--jobs', String(lab.jobs))},
    {id: 'w', title: 'dr undo, the same', run: async () => {
      const sample = await dr('undo', '--confirm', LIVE)
      await dropOthers(lab)
      return sample
    }},
    {id: 'x', title: 'the old way: pg_restore -c into the live database, the same', run: () => underLoad(lab, () =>
      lab.measure({argv: ['sh', '-c', `${shellCommand([lab.tool('pg_restore'), '-c', '-d', LIVE, archive.folder])} || [ $? = 1 ]`], env: lab.toolEnvironment()}))},
  ]
}

/** Each round wants a row that is always there: a database without it gives no right answer. */
async function underLoad(lab: Lab, work: () => Promise<Pick<Sample, 'wallMs' | 'clientMs' | 'serverMs'>>): Promise<Sample> {
  const {id} = await withClient(lab.url(LIVE), {}, (client) => rowOf<{id: string}>(client, 'SELECT min(id) AS id FROM leads'))
  const load = startLoad({url: lab.url(LIVE), clients: CLIENTS, reconnectEvery: 50, statements: [`SELECT 1 / count(*) FROM leads WHERE id = '${id}'`, `UPDATE leads SET title = title WHERE id = '${id}'`]})
  let reports: ClientReport[] = []
  try {
    await until(() => load.rounds > WARM_ROUNDS)
    const {wallMs, clientMs, serverMs} = await work()
    const seen = load.rounds
    await until(() => load.rounds > seen + WARM_ROUNDS)
    reports = await load.stop()
    const outageMs = outageOf(reports)
    return {wallMs, clientMs, serverMs, gapMs: Math.max(...reports.map(({longestGapMs}) => longestGapMs)), ...(Number.isFinite(outageMs) && {outageMs})}
  } finally {
    if (reports.length === 0) await load.stop()
  }
}

/** What swaps have put aside. */
async function dropOthers(lab: Lab): Promise<void> {
  const names = await withClient(lab.adminUrl(), {}, async (client) => (await client.query<{name: string}>(`SELECT datname AS name FROM pg_database WHERE datname LIKE '${LIVE}\\_%'`)).rows)
  for (const {name} of names) await lab.drop(name)
}
