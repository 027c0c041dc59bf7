import {expect} from 'chai'
import {readFile, mkdtemp, rm, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {toolAccess} from '../../../src/lib/postgres/passfile.ts'
import {parseTarget, targetUrl} from '../../../src/lib/postgres/target.ts'
import {forgetSecrets, redact} from '../../../src/lib/system/redact.ts'

const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('the database URL', () => {
  it('decodes user, password and database', () => {
    const target = parseTarget('postgresql://o%40ps:p%40ss%3A%2F%25w@db.example:6000/my%20db?sslmode=require')
    expect(target).to.deep.equal({host: 'db.example', port: 6000, user: 'o@ps', password: 'p@ss:/%w', database: 'my db', ssl: {mode: 'require'}})
  })

  it('leaves out what only Prisma knows, and never shows the password', () => {
    const url = targetUrl(parseTarget('postgres://app:hunter2@db:5432/crm?schema=public&connection_limit=5&pgbouncer=true&sslmode=verify-full&sslrootcert=/etc/rds.pem'))
    expect(url).to.equal('postgresql://app@db:5432/crm?sslmode=verify-full&sslrootcert=%2Fetc%2Frds.pem')
  })

  it('reads sockets, IPv6 and the default database', () => {
    expect(targetUrl(parseTarget('postgresql:///crm?host=/var/run/postgresql&user=ops'))).to.equal('postgresql://ops@:5432/crm?host=%2Fvar%2Frun%2Fpostgresql')
    expect(parseTarget('postgresql://ops@[::1]:5433/crm')).to.include({host: '::1', port: 5433})
    expect(parseTarget('postgresql://ops@db').database).to.equal('ops')
  })

  for (const bad of ['mysql://a:topsecret@h/d', 'postgresql://u:topsecret@ho st/d', 'postgresql://:topsecret@host/', 'postgresql://u:topsecret@h/d?sslmode=perhaps']) {
    it(`refuses ${bad.replace('topsecret', '…')} without repeating the password`, () => {
      const error = caught(() => parseTarget(bad))
      expect(error).to.have.property('exitCode', 3)
      expect(JSON.stringify([(error as Error).message, (error as {hints?: unknown}).hints])).not.to.contain('topsecret')
    })
  }
})

describe('the password file', () => {
  let directory = ''
  const given = {PGPASSWORD: process.env.PGPASSWORD, PGPASSFILE: process.env.PGPASSFILE}
  afterEach(() => {
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
    forgetSecrets()
  })
  beforeEach(async () => { directory = await mkdtemp(join(tmpdir(), 'dr-passfile-')) })
  afterEach(() => rm(directory, {recursive: true, force: true}))

  it('is readable by this user alone, escapes its fields, and is removed', async () => {
    const access = await toolAccess(parseTarget('postgresql://o%3Aps:p%3Aa%5Css@db:5432/crm'), join(directory, 'run'), 'dr test')
    const path = access.env.PGPASSFILE ?? ''
    expect((await stat(path)).mode & 0o777).to.equal(0o600)
    expect(await readFile(path, 'utf8')).to.equal(String.raw`db:5432:*:o\:ps:p\:a\\ss` + '\n')
    expect(access.url()).not.to.contain('p:a')
    expect(access.url()).to.match(/^postgresql:\/\/o%3Aps@db:5432\/crm\?keepalives_idle=30/)
    await access.close()
    expect(await stat(path).catch(() => undefined)).to.equal(undefined)
  })

  it('takes PGPASSWORD where the URL has none, and hides it', async () => {
    process.env.PGPASSWORD = 'from-the-environment'
    const access = await toolAccess(parseTarget('postgresql://ops@db:5432/crm'), join(directory, 'run'), 'dr test')
    expect(await readFile(access.env.PGPASSFILE ?? '', 'utf8')).to.equal('db:5432:*:ops:from-the-environment\n')
    expect(redact('it is from-the-environment')).to.equal('it is ***')
    await access.close()
  })

  it("leaves the tools the operator's own where there is no password", async () => {
    Reflect.deleteProperty(process.env, 'PGPASSWORD')
    process.env.PGPASSFILE = '/home/ops/pgpass'
    const access = await toolAccess(parseTarget('postgresql://ops@db:5432/crm'), join(directory, 'run'), 'dr test')
    expect(access.env.PGPASSFILE).to.equal('/home/ops/pgpass')
    await access.close()
  })
})
