import {globSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

export const projectRoot = fileURLToPath(new URL('..', import.meta.url))

/** The script that runs `dr`: the build when it is there and no source is newer, else the sources. */
export function drScript(root = projectRoot): string {
  const built = timeOf(join(root, 'dist/lib/cli/main.js'))
  const sources = globSync('src/**/*.ts', {cwd: root}).map((path) => timeOf(join(root, path)))
  return join(root, built > Math.max(...sources) ? 'bin/run.js' : 'bin/dev.js')
}

const timeOf = (path: string): number => statSync(path, {throwIfNoEntry: false})?.mtimeMs ?? -Infinity
