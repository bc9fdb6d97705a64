// Which tasks are chosen in a list: some, or all but some. "All" are all that match, shown or not.

export class Selection {
  /** @param {boolean} [all] @param {Set<string>} [named] the chosen ones, or with `all` those that are not */
  constructor(all = false, named = new Set()) {
    this.all = all;
    this.named = named;
  }

  /** @param {string} id */
  has(id) {
    return this.all !== this.named.has(id);
  }

  /** @param {number} total @returns {number} how many are chosen */
  count(total) {
    return this.all ? Math.max(0, total - this.named.size) : this.named.size;
  }

  /** @param {string} id @param {boolean} chosen @returns {Selection} */
  with(id, chosen) {
    const named = new Set(this.named);
    if (chosen === this.all) named.delete(id);
    else named.add(id);
    return new Selection(this.all, named);
  }

  /** @param {import("./live/task-list.js").TaskList} list @returns {Promise<string[]>} */
  async ids(list) {
    if (!this.all) return [...this.named];
    return (await list.allIds()).filter((id) => !this.named.has(id));
  }
}
