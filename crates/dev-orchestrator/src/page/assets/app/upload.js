// Files that a person gives to a task: stored in the local storage, under an address of their own.

import { defaultBucket } from "./actions.js";
import { fileLink, request } from "./api.js";

let count = 0;

/** @param {File[]} files @returns {Promise<{uri: string, name: string}[]>} */
export async function uploadFiles(files) {
  const bucket = await defaultBucket();
  const stored = [];
  for (const file of files) {
    count += 1;
    const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const address = fileLink(`s3://${bucket}/page/${date}-${count}/${file.name}`);
    const answer = await (await request(address, { method: "PUT", body: file })).json();
    stored.push({ uri: answer.uri, name: file.name });
  }
  return stored;
}
