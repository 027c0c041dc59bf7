import {spawnSync} from 'node:child_process'
import {globSync, rmSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Brings `dist` up to the sources when one of them is newer, or one is gone: whole processes of `dr` run on it, because on
 * the sources each would take a second for their types alone.
 */
export function build(): void {
  const sources = globSync('src/**/*.ts', {cwd: root})
  const built = globSync('dist/**/*.js', {cwd: root})
  const newest = Math.max(...[...sources, 'tsconfig.json', 'tsconfig.build.json', 'package.json'].map((file) => statSync(join(root, file)).mtimeMs))
  const isFresh = built.length === sources.length && newest < Math.min(...built.map((file) => statSync(join(root, file)).mtimeMs))
  if (isFresh) return
  rmSync(join(root, 'dist'), {recursive: true, force: true})
  const {status} = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')], {stdio: 'inherit'})
  if (status !== 0) throw new Error('The sources cannot be built: npm run types.')
}
