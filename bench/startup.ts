import {spawnSync} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {projectRoot} from './dr-script.ts'
import {spread, type Spread} from './stats.ts'

export interface Startup {
  bareMs: Spread
  versionMs: Spread
}

const RUNS = 15

/** `dr --version` of the build beside `node -e 0`, by turns, after one of each that nobody counts. */
export async function measureStartup(): Promise<Startup> {
  const home = await mkdtemp(join(tmpdir(), 'dr-bench-home-'))
  const env = {PATH: process.env.PATH, HOME: home, NODE_ENV: 'production'}
  try {
    const bare = (): number => timed(['-e', '0'], env)
    const version = (): number => timed([join(projectRoot, 'bin/run.js'), '--version'], env)
    bare()
    version()
    const pairs = Array.from({length: RUNS}, () => [bare(), version()] as const)
    return {bareMs: spread(pairs.map(([ms]) => ms)), versionMs: spread(pairs.map(([, ms]) => ms))}
  } finally {
    await rm(home, {recursive: true, force: true})
  }
}

function timed(args: readonly string[], env: NodeJS.ProcessEnv): number {
  const from = performance.now()
  const {status, stderr} = spawnSync(process.execPath, args, {env, encoding: 'utf8'})
  if (status !== 0) throw new Error(`node ${args.join(' ')} failed: ${stderr}`)
  return performance.now() - from
}
