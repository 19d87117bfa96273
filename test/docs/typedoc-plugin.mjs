// What TypeDoc does not know of our code: names for destructured parameters, and that the two classes of a model are one to users.
import { Converter, ReflectionKind } from "typedoc";

/** Parameters that are destructured have no name: "options", or the name of their type. */
function parameterName(type) {
  const name = type?.name === "Pick" ? type.typeArguments[0].name : type?.name;
  if (!name || /(Options|Settings|Limits)$/.test(name)) return "options";
  return name[0].toLowerCase() + name.slice(1);
}

export function load({ converter }) {
  converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.name !== "Model" || !reflection.kindOf(ReflectionKind.Class)) return;
    const type = context.checker.getDeclaredTypeOfSymbol(context.getSymbolFromReflection(reflection));
    const [engine] = context.checker.getBaseTypes(type);
    context.project.registerSymbolId(reflection, context.createSymbolId(engine.symbol));
  });
  converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const reflection of Object.values(project.reflections)) {
      if (reflection.name === "__namedParameters") reflection.name = parameterName(
        reflection.type?.type === "intersection" ? reflection.type.types[0] : reflection.type,
      );
      if (reflection.parent?.name === "Model" || reflection.parent?.parent?.name === "Model") delete reflection.inheritedFrom;
      // The value of a schema's key is its schema, which is not a default.
      if (reflection.parent?.kindOf(ReflectionKind.TypeLiteral) && !reflection.flags.isOptional) delete reflection.defaultValue;
      if (reflection.name === "Model") for (const key of ["extendedTypes", "extendedBy", "typeHierarchy"]) delete reflection[key];
    }
  });
}
