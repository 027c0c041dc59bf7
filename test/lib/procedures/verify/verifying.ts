import {join} from 'node:path'
import {connect, endQuietly} from '../../../../src/lib/postgres/connection.ts'
import {findTools} from '../../../../src/lib/postgres/tools.ts'
import {createRun} from '../../../../src/lib/procedures/runs.ts'
import {verifyProcedure, verifyState} from '../../../../src/lib/procedures/verify/index.ts'
import type {VerifyOptions, VerifyState, Wanted} from '../../../../src/lib/procedures/verify/options.ts'
import type {Storage} from '../../../../src/lib/repository/storage/storage.ts'
import {perform} from '../../../../src/lib/runbook/perform.ts'
import {testCluster} from '../../../support/cluster.ts'
import {testStage} from '../../../support/stage.ts'
import {clientTools} from '../../../support/tools.ts'

/** Tables large and empty, one name that needs quotes, a sequence, a partitioned table, a view with data, large objects. */
const SCHEMA = `
  CREATE TABLE leads (id serial PRIMARY KEY, "tenantId" text NOT NULL, title text);
  INSERT INTO leads ("tenantId", title) SELECT 'tenant-' || i % 3, 'lead ' || md5(i::text) || E'\\n\\\\.\\n' FROM generate_series(1, 3000) i;
  CREATE TABLE "Odd ""Name" (id int, note text);
  INSERT INTO "Odd ""Name" SELECT i, repeat('x', 50) FROM generate_series(1, 500) i;
  CREATE TABLE empty (id int);
  CREATE TABLE no_columns ();
  INSERT INTO no_columns DEFAULT VALUES;
  CREATE TABLE parted (id int, d date) PARTITION BY RANGE (d);
  CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
  INSERT INTO parted SELECT i, date '2024-06-01' + i FROM generate_series(1, 100) i;
  CREATE MATERIALIZED VIEW titles AS SELECT title FROM leads;
  SELECT lo_from_bytea(0, 'a large object'), lo_from_bytea(0, 'b large object');`

/** A small database on the shared cluster; returns its connection string. */
export async function smallDatabase(name: string): Promise<string> {
  const url = await (await testCluster({major: 18})).createDatabase(name)
  const client = await connect(url)
  try {
    await client.query(SCHEMA)
  } finally {
    await endQuietly(client)
  }
  return url
}

export interface VerifySetting {
  wanted: Wanted
  storages?: readonly Storage[]
  level?: 'quick' | 'full'
  /** For the run's own folder. */
  directory: string
  signal?: AbortSignal
  tools?: VerifyOptions['tools']
}

/** Performs a verification in this process and says what it found, and what it told the operator. */
export async function verify(setting: VerifySetting): Promise<VerifyState & {notices: string[]}> {
  const run = await createRun(setting.directory)
  const options: VerifyOptions = {
    wanted: setting.wanted, what: 'a test', level: setting.level ?? 'full', environment: 'development', storages: setting.storages ?? [],
    tools: 'tools' in setting ? setting.tools : await findTools(await clientTools(18)), run, spoolDirectory: join(run.directory, 'spool'), by: 'a test',
  }
  const {stage, seen} = testStage(setting.signal ? {signal: setting.signal} : {})
  try {
    const {state} = await perform(verifyProcedure(options), verifyState(options), stage)
    return {...state, notices: seen.filter((line) => line.includes(': notice '))}
  } finally {
    await run.remove()
  }
}

/** The errors among the findings of the first place, as `subject code`. */
export const errorsOf = ({verified: [first]}: VerifyState): string[] =>
  (first?.findings ?? []).filter(({severity}) => severity === 'error').map(({subject, code}) => `${subject} ${code}`.trim())

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
