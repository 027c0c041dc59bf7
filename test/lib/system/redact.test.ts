import {expect} from 'chai'
import {forgetSecrets, redact, redactValue, registerSecret, registerSecretUrl, registerSecretVariables} from '../../../src/lib/system/redact.ts'

describe('redact', () => {
  beforeEach(forgetSecrets)
  after(forgetSecrets)

  it('hides a registered secret wherever it stands, plain and percent-encoded', () => {
    registerSecret('p@ss/wörd')
    expect(redact('said p@ss/wörd, and p%40ss%2Fw%C3%B6rd again')).to.equal('said ***, and *** again')
  })

  it('hides the longer one first when one secret is part of another', () => {
    registerSecret('hunter')
    registerSecret('hunter22')
    expect(redact('hunter22 hunter')).to.equal('*** ***')
  })

  it('keeps words that hide nothing', () => {
    registerSecret('postgres')
    registerSecret('abc')
    registerSecret(undefined)
    expect(redact('database postgres, abc')).to.equal('database postgres, abc')
  })

  it('hides user and password of any URL, registered or not', () => {
    for (const [text, clean] of [
      ['postgres://app:hunter22@db:5432/crm', 'postgres://***@db:5432/crm'],
      ['at postgresql://app:p@ss@db/crm, then', 'at postgresql://***@db/crm, then'],
      ['https://key@s3.local/b', 'https://***@s3.local/b'],
      ['https://:hunter22@s3.local', 'https://***@s3.local'],
      ['postgres://db/crm?user=a&password=hunter22&x=1', 'postgres://db/crm?user=a&password=***&x=1'],
      ['host=db password=hunter22 user=a', 'host=db password=*** user=a'],
      ['{"password":"hunter22","a":1}', '{"password":***,"a":1}'],
    ] as const) expect(redact(text)).to.equal(clean)
  })

  it('leaves places alone that only look like it', () => {
    for (const text of ['postgresql://app@db:5432/crm', 'postgresql://USER:PASSWORD@HOST/DB', 's3://bucket/a@b', 'http://127.0.0.1:9000/x@y', 'mail@example.com', 'https://s3.local:443', 'password authentication failed']) expect(redact(text)).to.equal(text)
  })

  it('learns the password of a URL, encoded and decoded', () => {
    registerSecretUrl('postgres://app:p%40ssw0rd@db/crm?sslpassword=keyword')
    expect(redact('p%40ssw0rd p@ssw0rd keyword')).to.equal('*** *** ***')
  })

  it('does not take the name of a user, host or database for a secret', () => {
    registerSecretUrl('postgres://crm_app:crm_app@crm_app/crm_app')
    expect(redact('role crm_app')).to.equal('role crm_app')
    registerSecretUrl('no url')
  })

  it('learns from variables by their names', () => {
    registerSecretVariables({PGPASSWORD: 'pg-hunter', AWS_SECRET_ACCESS_KEY: 'aws-hunter', ENCRYPTION_KEY: 'enc-hunter', DATABASE_URL: 'postgres://a:url-hunter@h/d', AWS_ACCESS_KEY_ID: 'AKIA1', HOME: '/home/hunter'})
    expect(redact('pg-hunter aws-hunter enc-hunter url-hunter AKIA1 /home/hunter')).to.equal('*** *** *** *** AKIA1 /home/hunter')
  })

  it('reaches every string of a value and leaves the value itself alone', () => {
    registerSecret('hunter22')
    const value = {a: ['x hunter22', 1, null], b: {c: 'hunter22', d: true}}
    expect(redactValue(value)).to.deep.equal({a: ['x ***', 1, null], b: {c: '***', d: true}})
    expect(value.b.c).to.equal('hunter22')
  })
})
