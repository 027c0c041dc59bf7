import {expect} from 'chai'
import {execFile, spawn, spawnSync} from 'node:child_process'
import {closeSync, globSync, openSync} from 'node:fs'
import {mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises'
import {once} from 'node:events'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {promisify} from 'node:util'
import {finishDr, startDr} from '../support/process.ts'
import {temporaryFolder} from '../support/temporary.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const trial = {script: 'test/support/trial/run.ts'}
const run = promisify(execFile)

describe('dr as a process', () => {
  const home = temporaryFolder()

  it('exits with 2 for a wrong flag, names it and what was meant, and does not repeat what may be a secret', async () => {
    const {code, stdout, stderr} = await finishDr(['config', 'show', '--enviroment', 'x', '--secret=hunter22'], home.path)
    expect(code).to.equal(2)
    expect(stdout).to.equal('')
    expect(stderr).to.include('--enviroment').and.include('Did you mean --environment?').and.include('dr config show --help')
    expect(stderr).not.to.include('hunter22')
  })

  it('does not repeat a secret that stands where nothing belongs', async () => {
    for (const args of [['config', 'show', 'postgres://u:hunter22@h/d'], ['config', 'show', '--config=postgres://u:hunter22@h/d'], ['postgres://u:hunter22@h/d']]) {
      const {code, stdout, stderr} = await finishDr(args, home.path)
      expect(code, args.join(' ')).to.be.oneOf([2, 3])
      expect(stdout + stderr).not.to.include('hunter22')
    }
  })

  it('exits with 2 for an unknown command, and for help on one', async () => {
    const {code, stderr} = await finishDr(['confg', 'show'], home.path)
    expect(code).to.equal(2)
    for (const args of [['help', 'confg'], ['confg', '--help']]) expect(await finishDr(args, home.path), args.join(' ')).to.include({code: 2, stderr: 'Error: Command confg not found.\n  Hint: dr help lists the commands.\n'})
    expect(stderr).to.include('Not a command, or not one that takes arguments: dr confg show')
  })

  it('exits with 3 for a wrong configuration', async () => {
    await writeFile(join(home.path, 'dr.config.yaml'), 'nonsense: 1\n')
    expect((await finishDr(['config', 'show'], home.path)).code).to.equal(3)
  })

  it('prints the result on stdout and all talk on stderr, a line at a time and without colours, when nobody looks on', async () => {
    const {code, stdout, stderr} = await finishDr(['trial', '--log', join(home.path, 'log'), '--yes', '--rounds', '2'], home.path, trial)
    expect(code).to.equal(0)
    expect(stdout).to.equal('a result\n')
    expect(stderr.replaceAll(/\d+\.\d s/g, 'N s')).to.equal(['one', 'two', 'three'].map((name) => [
      ...(name === 'one' ? ['First phase'] : []),
      ...(name === 'three' ? ['Second phase'] : []),
      `  Step ${name}: started`,
      `  Step ${name}: This stays on the screen.`,
      `  Step ${name}: done in N s`,
      '',
    ].join('\n')).join(''))
  })

  it('has colours with FORCE_COLOR only, and none with NO_COLOR or --no-color', async () => {
    const plan = ['trial', '--log', 'log', '--plan']
    const colour = /\u001B\[/
    expect((await finishDr(plan, home.path, {...trial, env: {FORCE_COLOR: '1'}})).stdout).to.match(colour)
    expect((await finishDr(plan, home.path, trial)).stdout).not.to.match(colour)
    expect((await finishDr(plan, home.path, {...trial, env: {NO_COLOR: '1'}})).stdout).not.to.match(colour)
    expect((await finishDr([...plan, '--no-color'], home.path, {...trial, env: {FORCE_COLOR: '1'}})).stdout).not.to.match(colour)
  })

  it('changes nothing with --plan', async () => {
    const {code, stdout} = await finishDr(['trial', '--log', join(home.path, 'log'), '--plan'], home.path, trial)
    expect(code).to.equal(0)
    expect(stdout).to.include(`$ sh -c 'echo one >> ${join(home.path, 'log')}'`)
    expect(globSync('**', {cwd: home.path}).filter((name) => name !== '.')).to.deep.equal([])
  })

  it('asks nothing and changes nothing without a terminal: 2, naming the flag', async () => {
    const {code, stderr} = await finishDr(['trial', '--log', join(home.path, 'log')], home.path, trial)
    expect(code).to.equal(2)
    expect(stderr).to.include('--confirm crm')
    expect(globSync('**', {cwd: home.path}).filter((name) => name !== '.')).to.deep.equal([])
  })

  it('goes on when its reader has left', async () => {
    const started = startDr(['config', 'schema'], home.path)
    started.child.stdout?.destroy()
    expect((await started.ended).code).to.equal(0)
  })

  it('fails with a word when its result cannot be written', async () => {
    const full = openSync('/dev/full', 'w')
    try {
      for (const [args, code] of [[['config', 'schema'], 1], [['list', '--json'], 1], [['confg', '--json'], 2]] as const) {
        const {status, stderr} = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], {cwd: home.path, env: {PATH: process.env.PATH, HOME: home.path, NODE_ENV: 'production'}, stdio: ['ignore', full, 'pipe'], encoding: 'utf8'})
        expect(status, args.join(' ')).to.equal(code)
        expect(stderr).to.include('Error: The result could not be written to stdout: ').and.include('ENOSPC')
      }
    } finally {
      closeSync(full)
    }
  })
})

describe('the build', function () {
  this.timeout(120_000)
  let place: string

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'dr-test-build-'))
    await run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', `${root}tsconfig.build.json`, '--outDir', join(place, 'dist')])
    await symlink(join(root, 'node_modules'), join(place, 'node_modules'))
    await mkdir(join(place, 'bin'))
    for (const file of ['package.json', 'bin/run.js']) await writeFile(join(place, file), await readFile(join(root, file)))
  })

  after(() => rm(place, {recursive: true, force: true}))

  const built = (...args: string[]) => run(process.execPath, [join(place, 'bin/run.js'), ...args], {env: {HOME: place, PATH: process.env.PATH, XDG_CACHE_HOME: '/proc'}})

  it('has every import rewritten', async () => {
    const files = globSync('**/*.js', {cwd: join(place, 'dist')})
    expect(files.length).to.be.above(20)
    for (const file of files) expect(await readFile(join(place, 'dist', file), 'utf8'), file).not.to.match(/(?:from|import\() *['"][^'"]+\.ts['"]/)
  })

  it('runs, with an odd cache folder too', async () => {
    expect((await built('--version')).stdout).to.match(/^dashboarduz-dr\/\d+\.\d+\.\d+ /)
    expect((await built('config', 'show')).stdout).to.match(/^environment +development +default$/m)
    expect((await built('config', 'show', '--help')).stdout).to.include('EXIT CODES')
  })

  it('has the manifest that is kept in the repository; if not: npm run build', async () => {
    await run(process.execPath, [`${root}node_modules/oclif/bin/run.js`, 'manifest', place], {cwd: place})
    const kept = JSON.parse(await readFile(join(root, 'oclif.manifest.json'), 'utf8')) as object
    expect(kept).to.deep.equal(JSON.parse(await readFile(join(place, 'oclif.manifest.json'), 'utf8')))
  })
})

describe('bin/run.js', () => {
  const home = temporaryFolder()

  /** As an older Node sees it: the same file, told of another version. */
  async function old(args: readonly string[]) {
    await mkdir(join(home.path, 'bin'))
    const text = await readFile(join(root, 'bin/run.js'), 'utf8')
    await writeFile(join(home.path, 'bin/run.mjs'), text.replaceAll('process.versions.node', "'20.20.2'"))
    const child = spawn(process.execPath, [join(home.path, 'bin/run.mjs'), ...args], {stdio: ['ignore', 'ignore', 'pipe']})
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (part: string) => { stderr += part })
    const [code] = await once(child, 'close') as [number]
    return {code, stderr}
  }

  it('says which Node it needs and how to get it, with the same arguments', async () => {
    const {code, stderr} = await old(['restore', 'my label', '--plan'])
    expect(code).to.equal(3)
    expect(stderr).to.include('22.15').and.include("npx -p node@24 -p dashboarduz-dr dashboarduz-dr restore 'my label' --plan")
  })

  it('starts the Node that a checkout carries, and passes its exit code on', async () => {
    const own = join(home.path, 'node_modules/node/bin')
    await mkdir(own, {recursive: true})
    await writeFile(join(own, 'node'), '#!/bin/sh\necho "$DR_REEXEC $2 $3" >&2\nexit 6\n', {mode: 0o755})
    expect(await old(['list', 'a b'])).to.deep.equal({code: 6, stderr: '1 list a b\n'})
  })
})
