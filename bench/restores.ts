import {readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'
import type {BackupResult} from '../src/commands/backup.ts'
import type {RestoreResult} from '../src/commands/restore/index.ts'
import {withClient} from '../src/lib/postgres/connection.ts'
import {maintenanceWorkMem, readMaintenanceWorkMem, startupOptions} from '../src/lib/postgres/restore-settings.ts'
import {readServer} from '../src/lib/postgres/server.ts'
import {parseManifest, type Manifest} from '../src/lib/repository/manifest.ts'
import {shellCommand} from '../src/lib/ui/shell.ts'
import {DATA, runDr} from './dr.ts'
import {projectRoot} from './dr-script.ts'
import type {Lab} from './lab.ts'
import {S3_PREFIX, startS3, type S3Process} from './s3.ts'
import type {Sample, Variant} from './variants.ts'

/** One backup that every restore reads: by stock tools too, because it is a stock archive. */
export interface Archive {
  folder: string
  /** Of its objects in the bucket. */
  prefix: string
  manifest: Manifest
}

const INTO = 'bench_restore'
export const REPOSITORY = 'archive'
const STORE = 'archive-s3'

/** Stored in both places by one run of `dr`. */
export async function makeArchive(lab: Lab): Promise<Archive> {
  await lab.fresh(DATA)
  await lab.fresh(REPOSITORY)
  const s3 = await startS3(await lab.fresh(STORE))
  try {
    const {result} = await runDr<BackupResult>(lab, ['backup', '--s3', '--local', '--jobs', String(lab.jobs)], {...s3.environment(), ...repository(lab)})
    const {label, environment} = result
    const folder = lab.path(REPOSITORY, environment, label)
    return {folder, prefix: `${S3_PREFIX}/${environment}/${label}/`, manifest: parseManifest(await readFile(join(folder, 'manifest.json'), 'utf8'))}
  } finally {
    await s3.stop()
    await rm(lab.path(DATA), {recursive: true})
  }
}

const repository = (lab: Lab): Record<string, string> => ({DR_LOCAL_DIRECTORY: lab.path(REPOSITORY)})

/** The restores, all from the archive, into a database that is dropped afterwards. From S3 over a link of a limited rate. */
export async function restoreVariants(lab: Lab, archive: Archive, linkBytesPerSecond: number): Promise<Variant[]> {
  const {jobs} = lab
  const same = {PGOPTIONS: await settingsOfDr(lab)}
  const withS3 = (work: (s3: S3Process) => Promise<Sample>) => async (): Promise<Sample> => {
    const s3 = await startS3(lab.path(STORE), linkBytesPerSecond)
    return work(s3).finally(() => s3.stop())
  }
  const label = archive.manifest.label
  return [
    {id: 'p', title: 'pg_restore', run: () => stock(lab, pgRestore(lab, archive.folder))},
    {id: 'q', title: `pg_restore -j${jobs}`, run: () => stock(lab, pgRestore(lab, archive.folder, jobs))},
    {id: 'r', title: `pg_restore -j${jobs}, settings as dr's`, run: () => stock(lab, pgRestore(lab, archive.folder, jobs), same)},
    {id: 's', title: 'dr restore, local', run: () => drRestore(lab, [label], repository(lab))},
    {id: 't', title: `download, then pg_restore -j${jobs}, settings as dr's`, run: withS3((s3) => downloadThenRestore(lab, archive, {...s3.environment(), ...same}))},
    {id: 'u', title: 'dr restore --s3', run: withS3((s3) => drRestore(lab, ['--s3', label], s3.environment()))},
  ]
}

/** By the builder that `dr` itself uses. */
async function settingsOfDr(lab: Lab): Promise<string> {
  return withClient(lab.url(), {}, async (client) => {
    const {major, sharedBuffersBytes} = await readServer(client)
    const maintenanceWorkMemBytes = maintenanceWorkMem({sharedBuffersBytes, ownBytes: await readMaintenanceWorkMem(client), jobs: lab.jobs})
    return startupOptions({maintenanceWorkMemBytes, serverMajor: major})
  })
}

const pgRestore = (lab: Lab, folder: string, jobs?: number): string =>
  shellCommand([lab.tool('pg_restore'), '--exit-on-error', ...(jobs === undefined ? [] : [`-j${jobs}`]), '-d', INTO, folder])

async function stock(lab: Lab, script: string, env: Readonly<Record<string, string>> = {}): Promise<Sample> {
  await lab.createEmpty(INTO)
  const {wallMs, clientMs, serverMs} = await lab.measure({argv: ['sh', '-c', script], env: {...lab.toolEnvironment(), ...env}})
  await lab.drop(INTO)
  return {wallMs, clientMs, serverMs}
}

async function downloadThenRestore(lab: Lab, {prefix}: Archive, env: Readonly<Record<string, string>>): Promise<Sample> {
  const folder = await lab.fresh('downloaded')
  const sample = await stock(lab, `${shellCommand([process.execPath, join(projectRoot, 'bench/download.ts'), prefix, folder])} && ${pgRestore(lab, folder, lab.jobs)}`, env)
  await rm(folder, {recursive: true})
  return sample
}

async function drRestore(lab: Lab, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Sample> {
  await lab.fresh(DATA)
  await lab.drop(INTO)
  const {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, result} = await runDr<RestoreResult>(lab, ['restore', ...args, '--into', INTO, '--jobs', String(lab.jobs)], env)
  await lab.drop(INTO)
  await rm(lab.path(DATA), {recursive: true})
  const wrong = result.findings.filter(({severity}) => severity === 'error')
  if (wrong.length > 0) throw new Error(`The restored database is not as it was: ${JSON.stringify(wrong)}`)
  const [analyzeMs, integrityMs] = [phaseMs(result, 'analyze'), phaseMs(result, 'integrity')]
  return {wallMs, clientMs, serverMs, peakRssBytes, ownCpuMs, analyzeMs, integrityMs, apartMs: wallMs - analyzeMs - integrityMs}
}

function phaseMs({timings}: RestoreResult, phase: string): number {
  const timing = timings.find((one) => one.phase === phase)
  if (timing === undefined) throw new Error(`dr restore says nothing of ${phase}.`)
  return timing.ms
}
