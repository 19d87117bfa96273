/**
 * Sentences of ours in languages close to those of the datasets, by ISO 639-3 code; for the detectors, which must not take them for those.
 */
export const NEIGHBOURS: Record<string, readonly string[]> = {
  ron: [
    "Albinele fac miere din nectarul florilor de pe câmp.", "Mâine dimineață mergem la piață să cumpărăm legume proaspete.",
    "Copiii se joacă în parc până seara târziu.",
    "Nu știu unde am pus cheile de la mașină.", "Apa fierbe la o sută de grade la nivelul mării.",
    "Bunica mea gătește cea mai bună ciorbă din sat.",
    "Trenul spre capitală pleacă de la linia a treia.", "Trebuie să dormi mai mult dacă vrei să fii sănătos.",
    "Frunzele își schimbă culoarea toamna din cauza frigului.",
    "Am citit cartea aceasta într-o singură noapte.", "Soarele răsare la est și apune la vest.",
    "Poți să economisești bani dacă faci o listă înainte.",
  ],
  por: [
    "As abelhas fazem mel com o néctar das flores do campo.", "Amanhã de manhã vamos à feira comprar legumes frescos.",
    "As crianças brincam no parque até ao fim da tarde.",
    "Não sei onde deixei as chaves do carro.", "A água ferve a cem graus ao nível do mar.", "A minha avó cozinha a melhor sopa da aldeia.",
    "O comboio para a capital sai da linha três.", "Você precisa dormir mais se quiser ter saúde.",
    "As folhas mudam de cor no outono por causa do frio.",
    "Li este livro inteiro numa só noite.", "O sol nasce a leste e põe-se a oeste.", "Pode poupar dinheiro se fizer uma lista antes.",
  ],
  cat: [
    "Les abelles fan mel amb el nèctar de les flors del camp.", "Demà al matí anirem al mercat a comprar verdures fresques.",
    "Els nens juguen al parc fins que es fa fosc.",
    "No sé on he deixat les claus del cotxe.", "L'aigua bull a cent graus al nivell del mar.",
    "La meva àvia cuina la millor sopa del poble.",
    "El tren cap a la capital surt de la via tres.", "Has de dormir més si vols estar sa.",
    "Les fulles canvien de color a la tardor perquè fa fred.",
    "Vaig llegir aquest llibre en una sola nit.", "El sol surt per l'est i es pon per l'oest.",
    "Pots estalviar diners si abans fas una llista.",
  ],
  glg: [
    "As abellas fan mel co néctar das flores do campo.", "Mañá pola mañá imos ao mercado mercar verduras frescas.",
    "Os nenos xogan no parque ata que escurece.",
    "Non sei onde deixei as chaves do coche.", "A auga ferve a cen graos ao nivel do mar.", "A miña avoa cociña a mellor sopa da aldea.",
    "O tren para a capital sae da vía tres.", "Tes que durmir máis se queres estar san.",
    "As follas cambian de cor no outono porque vai frío.",
    "Lin este libro enteiro nunha soa noite.", "O sol sae polo leste e ponse polo oeste.", "Podes aforrar cartos se antes fas unha lista.",
  ],
  deu: [
    "Bienen machen Honig aus dem Nektar der Blumen.", "Morgen früh gehen wir auf den Markt und kaufen Gemüse.",
    "Die Kinder spielen bis zum Abend im Park.",
    "Ich weiß nicht, wo ich die Schlüssel gelassen habe.", "Wasser kocht am Meer bei hundert Grad.",
    "Meine Großmutter kocht die beste Suppe im Dorf.",
    "Der Zug in die Hauptstadt fährt von Gleis drei.", "Du solltest mehr schlafen, wenn du gesund bleiben willst.",
  ],
  nld: [
    "Bijen maken honing van de nectar van bloemen.", "Morgenochtend gaan we naar de markt om groente te kopen.",
    "De kinderen spelen tot de avond in het park.",
    "Ik weet niet waar ik mijn sleutels heb gelaten.", "Water kookt op zeeniveau bij honderd graden.",
    "Mijn oma maakt de lekkerste soep van het dorp.",
    "De trein naar de hoofdstad vertrekt van spoor drie.", "Je moet meer slapen als je gezond wilt blijven.",
  ],
  swe: [
    "Bin gör honung av nektar från blommor.", "I morgon bitti går vi till torget och köper grönsaker.",
    "Barnen leker i parken till sent på kvällen.",
    "Jag vet inte var jag har lagt nycklarna.", "Vatten kokar vid hundra grader vid havsnivån.",
    "Min mormor lagar den godaste soppan i byn.",
    "Tåget till huvudstaden går från spår tre.", "Du måste sova mer om du vill hålla dig frisk.",
  ],
};
