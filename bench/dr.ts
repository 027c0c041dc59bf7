import {readFile, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import {projectRoot} from './dr-script.ts'
import type {Lab} from './lab.ts'
import type {Measured} from './measure.ts'
import {parsePeakRss} from './processes.ts'

export interface DrRun<T> extends Measured {
  result: T
  /** Of the process of `dr` itself, without pg_dump and pg_restore. */
  peakRssBytes: number
  ownCpuMs: number
}

const USAGE = pathToFileURL(join(projectRoot, 'bench/usage.js')).href

/** Runs the build of `dr` with --json, as a script or cron would, and says what it used. */
export async function runDr<T>(lab: Lab, args: readonly string[], env: Readonly<Record<string, string>>): Promise<DrRun<T>> {
  const usage = lab.path('usage.json')
  await rm(usage, {force: true})
  const measured = await lab.measure({
    argv: [process.execPath, '--import', USAGE, join(projectRoot, 'bin/run.js'), ...args, '--json', '--no-input'],
    env: {...drEnvironment(lab), ...env, DR_BENCH_USAGE: usage},
  })
  const {status, cpuMs} = JSON.parse(await readFile(usage, 'utf8')) as {status: string; cpuMs: number}
  return {...measured, result: JSON.parse(measured.stdout) as T, peakRssBytes: parsePeakRss(status), ownCpuMs: cpuMs}
}

/** Data and repository of `dr` lie in one folder, made anew for each run; its compile cache stays warm, as it would be. */
export const DATA = 'dr-data'
const drEnvironment = (lab: Lab): Record<string, string> => ({
  PATH: process.env.PATH ?? '', HOME: lab.path('home'), XDG_CACHE_HOME: lab.path('cache'), LC_ALL: 'C', NODE_ENV: 'production', NO_COLOR: '1',
  DR_DATA_DIR: lab.path(DATA), DR_CONFIG_DIR: lab.path('config'), DR_PG_BIN: lab.tools, DR_ENVIRONMENT: 'development', DATABASE_URL: lab.url(),
})
