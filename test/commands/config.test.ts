import {expect} from 'chai'
import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {ConfigShowResult} from '../../src/commands/config/show.ts'
import {loadConfig} from '../../src/lib/config/load.ts'
import {environments} from '../../src/lib/config/config.ts'
import {dr} from '../support/dr.ts'
import {temporaryFolder} from '../support/temporary.ts'

describe('dr config', () => {
  const folder = temporaryFolder()
  let home: string
  const kept = {...process.env}

  beforeEach(() => {
    home = process.cwd()
    process.chdir(folder.path)
    for (const name of Object.keys(process.env)) if (/^(DR_|AWS_|DATABASE_URL)/.test(name)) Reflect.deleteProperty(process.env, name)
    process.env.DR_CONFIG_DIR = join(folder.path, 'own')
    process.env.DR_DATA_DIR = join(folder.path, 'data')
  })

  afterEach(() => {
    process.chdir(home)
    for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, kept)
  })

  describe('show', () => {
    it('prints each value with its source, and no secret', async () => {
      await writeFile('dr.config.yaml', 's3:\n  bucket: from-file\n')
      process.env.DATABASE_URL = 'postgres://app:hunter22@db/crm'
      const {stdout, exitCode} = await dr('config', 'show', '--environment', 'staging')
      expect(exitCode).to.equal(0)
      expect(stdout).to.match(/^environment +staging +flag \(--environment\)$/m)
      expect(stdout).to.match(/^s3\.bucket +from-file +file \(dr\.config\.yaml:2\)$/m)
      expect(stdout).to.match(/^database\.url +postgres:\/\/\*\*\*@db\/crm +environment \(DATABASE_URL\)$/m)
      expect(stdout).to.match(/^retention\.days +7 +profile \(staging\)$/m)
      expect(stdout).not.to.include('hunter22')
    })

    it('is one document with --json, the same as its result', async () => {
      process.env.DATABASE_URL = 'postgres://app:hunter22@db/crm'
      const {stdout, stderr, result} = await dr<ConfigShowResult>('config', 'show', '--json')
      expect(JSON.parse(stdout)).to.deep.equal(result)
      expect(stderr).to.equal('')
      expect(result?.settings.find(({path}) => path === 'database.url')).to.deep.equal({path: 'database.url', value: 'postgres://***@db/crm', source: 'environment', from: 'DATABASE_URL'})
      expect(stdout).not.to.include('hunter22')
    })

    it('fails with 3 and names the line of a wrong value', async () => {
      await writeFile('dr.config.yaml', 'backup: {jobs: 99}\n')
      const {stderr, stdout, exitCode} = await dr('config', 'show')
      expect(exitCode).to.equal(3)
      expect(stdout).to.equal('')
      expect(stderr).to.include('backup.jobs is 99 (dr.config.yaml:1), but must be a whole number from 1 to 64.')
    })

    it('fails with 2 for an environment that there is not', async () => {
      const {stdout, exitCode} = await dr('config', 'show', '-e', 'prod', '--json')
      expect(exitCode).to.equal(2)
      expect(JSON.parse(stdout)).to.have.nested.property('error.code', 'config.value')
    })
  })

  describe('init', () => {
    for (const environment of environments) {
      it(`writes a file that works and changes nothing but the environment: ${environment}`, async () => {
        const {exitCode} = await dr('config', 'init', '--environment', environment)
        expect(exitCode).to.equal(0)
        const places = {env: {}, configDir: 'none', dataDir: 'data'}
        const {config} = await loadConfig({...places, cwd: folder.path})
        const {config: without} = await loadConfig({...places, cwd: folder.path, flags: {environment}, configFile: '/dev/null'})
        expect(config).to.deep.equal(without)
        expect(config.environment).to.equal(environment)
      })
    }

    it('writes settings that are all valid once they are no comments', async () => {
      await dr('config', 'init')
      const text = await readFile('dr.config.yaml', 'utf8')
      await writeFile('dr.config.yaml', text.replaceAll(/^( *)# ( *[a-zA-Z\d]+:( .*)?)$/gm, '$1$2'))
      const {config} = await loadConfig({env: {}, cwd: folder.path, configDir: 'none', dataDir: 'data', flags: {environment: 'production'}})
      expect(config.s3.bucket).to.equal('my-backups-production')
      expect(config.backup.jobs).to.equal(4)
      expect(config.retention.days).to.equal(7)
    })

    it('leaves an existing file alone unless it is forced', async () => {
      await writeFile('dr.config.yaml', '# mine\n')
      const refused = await dr('config', 'init')
      expect(refused.exitCode).to.equal(3)
      expect(refused.stderr).to.include('exists already').and.include('--force')
      expect(await readFile('dr.config.yaml', 'utf8')).to.equal('# mine\n')
      expect((await dr('config', 'init', '--force')).exitCode).to.equal(0)
      expect(await readFile('dr.config.yaml', 'utf8')).to.include('environment: development')
    })
  })

  it('schema prints a JSON Schema, with and without --json', async () => {
    const plain = await dr('config', 'schema')
    expect(JSON.parse(plain.stdout)).to.have.property('$schema')
    expect(JSON.parse((await dr('config', 'schema', '--json')).stdout)).to.deep.equal(JSON.parse(plain.stdout))
  })
})
