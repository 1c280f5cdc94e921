/** Of sdk/runtime: not there with AssemblyScript's own runtimes. */
declare function __collectIfDue(): void;
