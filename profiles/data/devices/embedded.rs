static EMBEDDED: [(&str, &str); 0] = [];
