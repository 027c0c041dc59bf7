import {execFileSync, spawnSync} from 'node:child_process'
import {globSync} from 'node:fs'

/*
 * Runs before the tests (npm's pretest). The client tools that npm brings lean on two libraries of the system, which a
 * minimal Debian does not have. Root gets them from apt; anybody else is told what to install.
 */
const LIBRARIES = {'libgssapi_krb5.so.2': 'libgssapi-krb5-2', 'libreadline.so.8': 'libreadline8'}

const isThere = (library: string): boolean => globSync([`/lib/*/${library}`, `/usr/lib/*/${library}`, `/usr/lib64/${library}`, `/usr/lib/${library}`]).length > 0
const packages = Object.entries(LIBRARIES).filter(([library]) => !isThere(library)).map(([, name]) => name)

if (process.platform === 'linux' && packages.length > 0) install()

function install(): void {
  const command = `apt-get update && apt-get install -y ${packages.join(' ')}`
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) {
    console.error(`The tests run pg_dump and psql, which need ${packages.join(' and ')}. Install what is missing:\n  sudo sh -c '${command}'`)
    process.exit(1)
  }
  console.log(`Installing ${packages.join(' and ')} for pg_dump and psql.`)
  const env = {...process.env, DEBIAN_FRONTEND: 'noninteractive'}
  execFileSync('apt-get', ['update', '-qq'], {env, stdio: ['ignore', 'ignore', 'inherit']})
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {env, stdio: ['ignore', 'ignore', 'inherit']})
}
