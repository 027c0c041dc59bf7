/** A refusal as the service words it. `Sender` is to blame under 500. */
export class RdsError extends Error {
  /** As on the wire: `DBInstanceNotFound`; the SDK makes `DBInstanceNotFoundFault` of it. */
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = 400) {
    super(message)
    this.code = code
    this.status = status
  }
}

export const instanceNotFound = (id: string): RdsError => new RdsError('DBInstanceNotFound', `DBInstance ${id} not found.`, 404)
/** Of a call to an instance that has to be in use. */
export const instanceState = (id: string, status: string): RdsError => new RdsError('InvalidDBInstanceState', `Instance ${id} is not in available state: it is ${status}.`)
export const invalidValue = (message: string): RdsError => new RdsError('InvalidParameterValue', message)
export const invalidCombination = (message: string): RdsError => new RdsError('InvalidParameterCombination', message)
