/** A tar with `tinyModule("zstd")` as ./plugin.wasm, by GNU tar and `zstd -19`, in base64. */
export const zstdTar =
  "KLUv/QRorQIAIkQOEpA9BrCeFMNQ/w/gBrDsOgeUAnf47iD+H8jbjim1H8M2fPNvxlky6Jibs2OMuVLLXN6myYQvx1pICiBgNw/thS8o6A6DZf/PTN4KAgcFsDMJJaGBExA=";
