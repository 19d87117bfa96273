/** Questions on everyday topics that leave the style of the answer open; vectors from words are made from them. */
export const EVERYDAY_QUESTIONS: readonly string[] = [
  "What should I do on a rainy Sunday?",
  "How do I make a good cup of tea?",
  "Why do people enjoy walking in the woods?",
  "What is a good present for a neighbour?",
  "How can I fall asleep more easily?",
  "What happens at a train station in the morning?",
  "Should I learn to play an instrument?",
  "How do I keep my houseplants healthy?",
  "What do you think of long holidays?",
  "Why does bread taste better when it is fresh?",
  "How do I start a conversation with someone new?",
  "What makes a good teacher?",
  "Tell me about the sea in winter.",
  "How should I plan a visit to a museum?",
  "What can I cook for four friends tonight?",
  "Is it worth getting up early?",
];

/** Questions of the same kind that no vector from words is made from, to try vectors on. */
export const HELD_OUT_QUESTIONS: readonly string[] = [
  "How do I choose a bicycle?",
  "What is your opinion of cats?",
  "Why do leaves change colour in autumn?",
  "How can I save money on groceries?",
  "Tell me about breakfast.",
  "What should I pack for a weekend in the mountains?",
  "How does a microwave heat food?",
  "What do you do when a friend is late?",
];
