import {Config, type Command} from '@oclif/core'
import {expect} from 'chai'
import {existsSync, globSync, readFileSync} from 'node:fs'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'
import {sourceOptions} from '../src/lib/cli/main.ts'
import {environments} from '../src/lib/config/config.ts'
import {loadConfig} from '../src/lib/config/load.ts'
import {profiles} from '../src/lib/config/profiles.ts'
import {settingOf, settingPaths, variablesOf, type SettingPath} from '../src/lib/config/schema.ts'
import {exitCodeMeaning} from '../src/lib/errors.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const pages = ['README.md', ...globSync('docs/**/*.md', {cwd: root}).sort()].map((name) => ({name, text: readFileSync(join(root, name), 'utf8')}))
const page = (name: string): string => pages.find((one) => one.name === name)?.text ?? ''
const scripts = Object.keys((JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {scripts: object}).scripts)
const sources = globSync(['src/**/*.ts', 'bin/*.js'], {cwd: root}).map((name) => ({name, text: readFileSync(join(root, name), 'utf8')}))
const missingIn = (wanted: Iterable<string>, there: Iterable<string>): string[] => [...new Set(wanted)].filter((one) => !new Set(there).has(one)).sort()

/** What is typed: spans of code, and blocks; of a block with prompts only their lines, because the rest is output. */
const codeOf = (text: string): string[] => {
  const blocks = [...text.matchAll(/^ *```[a-z]*\n([\s\S]*?)^ *```/gm)].map(([, code = '']) => code)
  const spans = [...text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
  const lines = blocks.flatMap((code) => (/^\$ /m.test(code) ? (code.match(/^\$ .*/gm) ?? []) : code.split('\n')))
  return [...lines, ...spans]
}

/** Cells of the rows of a Markdown table; a pipe inside code does not end a cell. */
const rowsOf = (text: string): string[][] =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(/ \| /).map((cell) => cell.trim()))
const codesOf = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)

/** What is typed after `dr` (or what starts it from the sources), up to the shell's next word of its own. */
const typed = (code: string): string[][] =>
  [...code.matchAll(/(?:^|[\s(=])(?:dr|dashboarduz-dr|node bin\/dev\.js|npm run dev --) ((?:[^\s|;&>#)"']+ ?)+)/g)].map(([, words = '']) => words.trim().split(/\s+/))

describe('the documents', () => {
  let commands: Command.Loadable[]

  before(async () => {
    commands = (await Config.load(await sourceOptions(root))).commands
  })

  const commandOf = (words: readonly string[]): Command.Loadable | undefined => {
    const names = (command: Command.Loadable) => [command.id, ...command.aliases, ...command.hiddenAliases]
    const most = words.map((_, index) => words.slice(0, words.length - index).join(':'))
    return most.map((id) => commands.find((command) => names(command).includes(id))).find((command) => command !== undefined)
  }
  const isTopic = (word: string) => commands.some(({id}) => id.startsWith(`${word}:`))
  const uses = () => pages.flatMap(({name, text}) => codeOf(text).flatMap((code) => typed(code).map((words) => ({name, code, words}))))

  it('name commands that are there', () => {
    const unknown = uses().filter(({words: [first = '', ...rest]}) => !first.startsWith('-') && !isTopic(first) && commandOf([first, ...rest]) === undefined)
    expect(unknown.map(({name, code}) => `${name}: ${code.trim()}`)).to.deep.equal([])
    expect(uses().length).to.be.above(60)
  })

  it('name flags that their command has', () => {
    const wrong = uses().flatMap(({name, code, words}) => {
      const flags = Object.entries(commandOf(words)?.flags ?? {}).flatMap(([long, {char}]) => [`--${long}`, `--no-${long}`, `-${char ?? ''}`])
      const given = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*/, ''))
      return given.filter((flag) => !flags.includes(flag) && !['--help', '--version', '--json'].includes(flag)).map((flag) => `${name}: ${flag} in ${code.trim()}`)
    })
    expect(wrong).to.deep.equal([])
  })

  it('name flags, standing alone, that some command has', () => {
    const known = commands.flatMap(({flags}) => Object.keys(flags).flatMap((flag) => [`--${flag}`, `--no-${flag}`]))
    const alone = pages.flatMap(({text}) => codeOf(text)).flatMap((code) => /^(--[a-z][\w-]*)/.exec(code)?.[1] ?? [])
    expect(missingIn(alone, [...known, '--version'])).to.deep.equal([])
  })

  it('speak of every command in the README', () => {
    const shown = commands.filter(({hidden, id}) => !hidden && id !== 'help' && !id.startsWith('autocomplete:')).map(({id}) => id)
    const spoken = codeOf(page('README.md')).flatMap(typed).map((words) => commandOf(words)?.id ?? '')
    expect(missingIn(shown, spoken)).to.deep.equal([])
  })

  it('name npm scripts that are there', () => {
    const named = pages.flatMap(({text}) => [...text.matchAll(/npm (?:run )([a-z][\w:]*)/g)].map(([, name = '']) => name))
    expect(missingIn(named, scripts)).to.deep.equal([])
    expect(named).to.include.members(['demo', 'bench'])
  })

  it('have the exit codes of the program', () => {
    const section = /### Exit codes\n([\s\S]*?)\n## /.exec(page('README.md'))?.[1] ?? ''
    const table = rowsOf(section).filter(([code]) => /^\d+$/.test(code ?? ''))
    expect(table).to.deep.equal(Object.entries(exitCodeMeaning))
  })

  for (const {name, text} of pages) {
    it(`link only to what is there: ${name}`, () => {
      const links = [...text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^https?:/.test(link))
      const dead = links.filter((link) => {
        const [path = '', anchor] = link.split('#')
        const file = path === '' ? name : relative(root, join(root, dirname(name), path))
        return !existsSync(join(root, file)) || (anchor !== undefined && !anchorsOf(readFileSync(join(root, file), 'utf8')).includes(anchor))
      })
      expect(dead).to.deep.equal([])
    })
  }

  it('say nothing of other places than the project', () => {
    expect(pages.filter(({text}) => /\/work\/|\/tmp\/|\.\.\/shared/.test(text)).map(({name}) => name)).to.deep.equal([])
  })

  it('name only variables that the program reads', () => {
    const named = pages.flatMap(({text}) => text.match(/\bDR_[A-Z_]+\b/g) ?? []).filter((name) => !name.endsWith('_'))
    const read = [...settingPaths.flatMap(variablesOf), 'DR_CONFIG_DIR', ...sources.flatMap(({text}) => text.match(/\bDR_[A-Z_]+\b/g) ?? [])]
    expect(missingIn(named, read)).to.deep.equal([])
  })
})

/** As GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').trim().replaceAll(' ', '-'))

describe('docs/configuration.md', () => {
  const text = page('docs/configuration.md')
  const settings = new Map(rowsOf(/## Settings\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '').slice(1).map(([path = '', ...rest]) => [codesOf(path)[0] ?? '', rest]))

  it('has every setting, and no other', () => {
    expect([...settings.keys()].sort()).to.deep.equal([...settingPaths].sort())
  })

  it('has the variables of each, strongest first', () => {
    const wrong = settingPaths.filter((path) => codesOf(settings.get(path)?.[0]).join() !== variablesOf(path).join())
    expect(wrong).to.deep.equal([])
  })

  it('has the default of each', () => {
    const defaultOf = (path: SettingPath) => String(settingOf(path).default)
    const fixed = settingPaths.filter((path) => settingOf(path).default !== undefined)
    expect(fixed.filter((path) => codesOf(settings.get(path)?.[1])[0] !== defaultOf(path))).to.deep.equal([])
    expect(fixed.length).to.be.above(5)
  })

  it('has the profiles', () => {
    const rows = new Map(rowsOf(/## Environments\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '').map(([path = '', ...cells]) => [codesOf(path)[0] ?? '', cells]))
    const paths = [...new Set(environments.flatMap((name) => Object.keys(profiles[name])))]
    const shown = (value: unknown) => (value === undefined ? '-' : `\`${value as string | number | boolean}\``)
    for (const path of paths) expect(rows.get(path), path).to.deep.equal(environments.map((name) => shown(profiles[name][path as SettingPath])))
  })

  it('has an example that is read without an error', async () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
    const folder = await mkdtemp(join(tmpdir(), 'dr-docs-'))
    try {
      await writeFile(join(folder, 'dr.config.yaml'), example)
      const {config} = await loadConfig({env: {}, cwd: folder, configDir: folder, dataDir: folder})
      expect(config).to.deep.include({environment: 'production', local: {directory: '/var/backups/dr'}}).and.have.nested.property('backup.jobs', 4)
    } finally {
      await rm(folder, {recursive: true})
    }
  })
})

describe('docs/troubleshooting.md', () => {
  const documented = rowsOf(page('docs/troubleshooting.md')).filter(([, exit]) => /^\d/.test(exit ?? '')).flatMap(([codes]) => codesOf(codes))
  /** The first argument of an error, and the codes that are looked up in tables. */
  const thrown = sources.filter(({name}) => !name.startsWith('src/lib/sandbox/s3/')).flatMap(({text}) => [
    ...[...text.matchAll(/(?:usageError|preflightError|verificationError|unreachableError|lockedError|incompleteError|new DrError|super)\(\s*'([a-z][a-z.\d-]*)'/g)].map(([, code = '']) => code),
    ...[...text.matchAll(/\['(postgres\.[a-z-]+)',/g)].map(([, code = '']) => code),
  ])

  it('explains every code of an error', () => {
    expect(missingIn(thrown, documented)).to.deep.equal([])
    expect(thrown.length).to.be.above(100)
  })

  it('explains no code that is never used', () => {
    const said = sources.flatMap(({text}) => [...text.matchAll(/'([a-z][a-z.\d-]*)'/g)].map(([, code = '']) => code))
    expect(missingIn(documented, said)).to.deep.equal([])
  })
})
