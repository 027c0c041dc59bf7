import {expect} from 'chai'
import {transactionProblem} from '../../../../src/lib/postgres/partial/transaction.ts'

const EPOCH = 2n ** 32n

describe('the number of a transaction', () => {
  it('is one that has ended, and that the lower 32 bits of a row still tell', () => {
    for (const [number, next] of [[3n, 4n], [700n, 800n], [EPOCH + 5n, EPOCH * 2n + 5n], [EPOCH - 1n, EPOCH + 800n]] as const) expect(transactionProblem(number, next)).to.equal(undefined)
    for (const number of [800n, 801n, 10n ** 19n]) expect(transactionProblem(number, 800n)?.message).to.include('has ended yet: the newest is 799')
    for (const number of [0n, 2n]) expect(transactionProblem(number, 800n)?.message).to.include('no transaction of a client')
  })

  it('is written whole: of what xmin shows, the whole is named', () => {
    for (const [shown, whole] of [[700n, EPOCH * 3n + 700n], [900n, EPOCH * 2n + 900n]] as const) {
      const problem = transactionProblem(shown, EPOCH * 3n + 800n)
      expect(problem?.hints.join()).to.include(`--transaction ${whole}`)
      expect(transactionProblem(whole, EPOCH * 3n + 800n)).to.equal(undefined)
    }
  })
})
