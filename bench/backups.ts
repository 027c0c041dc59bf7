import {rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {BackupResult} from '../src/commands/backup.ts'
import {withClient} from '../src/lib/postgres/connection.ts'
import {quoteIdent} from '../src/lib/postgres/quote.ts'
import {listTables, type TableRef} from '../src/lib/postgres/tables.ts'
import {shellCommand, shellQuote} from '../src/lib/ui/shell.ts'
import {DATA, runDr} from './dr.ts'
import {bytesBelow, peakBytes} from './folders.ts'
import type {Lab} from './lab.ts'
import {startS3} from './s3.ts'
import {shareOut} from './stats.ts'
import type {Sample, Variant} from './variants.ts'

/** (a) to (g) of the benchmark. */
export async function backupVariants(lab: Lab): Promise<Variant[]> {
  const dump = lab.tool('pg_dump')
  const {jobs} = lab
  return [
    stock(lab, 'a', 'old script: pg_dump -Fc, then gzip', (to) => `${shellCommand([dump, '-Fc', '-f', `${to}/dump`])} && gzip ${shellQuote(`${to}/dump`)}`),
    stock(lab, 'b', 'pg_dump -Fc', (to) => shellCommand([dump, '-Fc', '-f', `${to}/dump`])),
    stock(lab, 'c', `pg_dump -Fd -j${jobs}`, (to) => shellCommand([dump, '-Fd', `-j${jobs}`, '-f', `${to}/dump`])),
    stock(lab, 'd', `pg_dump -Fd -j${jobs} --compress=zstd:1, the best stock line`, (to) => shellCommand([dump, '-Fd', `-j${jobs}`, '--compress=zstd:1', '-f', `${to}/dump`])),
    {id: 'e', title: `COPY of every table to nowhere on ${jobs} connections, the limit`, run: await copyToNowhere(lab)},
    {id: 'f', title: 'dr backup --local', run: () => drLocal(lab)},
    {id: 'g', title: 'dr backup --s3', run: () => drS3(lab)},
  ]
}

function stock(lab: Lab, id: string, title: string, script: (folder: string) => string): Variant {
  return {
    id, title,
    async run() {
      const folder = await lab.fresh('stock')
      const {wallMs, clientMs, serverMs} = await lab.measure({argv: ['sh', '-c', script(folder)], env: lab.toolEnvironment()})
      const bytes = bytesBelow(folder)
      await rm(folder, {recursive: true})
      return {wallMs, clientMs, serverMs, bytes}
    },
  }
}

/** The tables are shared out beforehand, by their size. */
async function copyToNowhere(lab: Lab): Promise<Variant['run']> {
  const tables = await withClient(lab.url(), {}, (client) => listTables(client, {excludeSchemas: []}, {sizes: true}))
  const shares = shareOut(tables.filter(({kind}) => kind === 'table'), lab.jobs, ({bytes}) => bytes)
  const lines = await Promise.all(shares.map(async (share, lane) => {
    const script = lab.path(`copy-${lane}.sql`)
    await writeFile(script, share.map(copyOut).join(''))
    return `${shellCommand([lab.tool('psql'), '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', script])} >/dev/null & copies="$copies $!"`
  }))
  const script = `${lines.join('\n')}\nfor copy in $copies; do wait "$copy" || exit 1; done`
  return async () => {
    const {wallMs, clientMs, serverMs} = await lab.measure({argv: ['sh', '-c', script], env: lab.toolEnvironment()})
    return {wallMs, clientMs, serverMs}
  }
}

const copyOut = ({schema, name, columns}: TableRef): string =>
  `COPY ${quoteIdent(schema)}.${quoteIdent(name)}${columns.length === 0 ? '' : ` (${columns.map(quoteIdent).join(', ')})`} TO STDOUT;\n`

async function drLocal(lab: Lab): Promise<Sample> {
  const data = await lab.fresh(DATA)
  const {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, result} = await runDr<BackupResult>(lab, ['backup', '--local', '--jobs', String(lab.jobs)], {})
  const bytes = complete(result)
  await rm(data, {recursive: true})
  return {wallMs, clientMs, serverMs, bytes, peakRssBytes, ownCpuMs}
}

async function drS3(lab: Lab): Promise<Sample> {
  const [data, store] = [await lab.fresh(DATA), await lab.fresh('s3')]
  const s3 = await startS3(store)
  try {
    const {result: run, peak} = await peakBytes(join(data, 'staging'), () => runDr<BackupResult>(lab, ['backup', '--s3', '--jobs', String(lab.jobs)], s3.environment()))
    const {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, result} = run
    return {wallMs, clientMs, serverMs, bytes: complete(result), peakRssBytes, ownCpuMs, stagingBytes: Math.max(peak, result.stagingPeakBytes ?? 0), s3Ms: s3.usedMs}
  } finally {
    await s3.stop()
    await rm(store, {recursive: true})
    await rm(data, {recursive: true})
  }
}

/** The size of a backup that is as good as a backup can be. */
export function complete({status, failures, findings, archiveBytes}: BackupResult): number {
  if (status !== 'good' || failures.length > 0 || archiveBytes === undefined) throw new Error(`The backup is not good: ${JSON.stringify({status, failures, findings})}`)
  return archiveBytes
}
