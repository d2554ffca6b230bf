using System.Collections.Frozen;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FineTuneService.Contracts;

namespace FineTuneService.Training;

/// <summary>The <c>model_type</c>s of config.json that a class implements.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ModelTypeAttribute(params string[] names) : Attribute
{
    public string[] Names { get; } = names;
}

/// <summary>The <c>type</c> under which a job specification names a <see cref="TaskConfig"/> or <see cref="MethodConfig"/>.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SpecTypeAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

/// <summary>Finds families, tasks and methods by their attributes, once; the only reflection in the engine. Touches no tensor type's statics.</summary>
public static class Catalog
{
    private static readonly Type[] Types = typeof(Catalog).Assembly.GetTypes();

    /// <summary><c>model_type</c> to the class that implements it.</summary>
    public static FrozenDictionary<string, Type> Models { get; } = Unique(
        from type in Types
        let attribute = type.GetCustomAttribute<ModelTypeAttribute>()
        where attribute is not null
        from name in attribute.Names
        select (name, type));

    /// <summary>Task name to its <see cref="TaskConfig"/> record.</summary>
    public static FrozenDictionary<string, Type> Tasks { get; } = Specs<TaskConfig>();

    /// <summary>Method name to its <see cref="MethodConfig"/> record.</summary>
    public static FrozenDictionary<string, Type> Methods { get; } = Specs<MethodConfig>();

    /// <summary><see cref="SnakeCaseJson.Options"/> plus the tasks and methods that exist here.</summary>
    public static JsonSerializerOptions Json { get; } = CreateJson();

    /// <summary>Teaches <paramref name="options"/> the tasks and methods that exist here.</summary>
    public static void Configure(JsonSerializerOptions options) =>
        options.TypeInfoResolver = (options.TypeInfoResolver ?? new DefaultJsonTypeInfoResolver()).WithAddedModifier(AddDerivedTypes);

    /// <summary>The name under which a specification would ask for this task or method.</summary>
    public static string NameOf(object config) => config.GetType().GetCustomAttribute<SpecTypeAttribute>()!.Name;

    private static JsonSerializerOptions CreateJson()
    {
        var options = SnakeCaseJson.Create();
        Configure(options);
        options.MakeReadOnly();
        return options;
    }

    private static void AddDerivedTypes(JsonTypeInfo info)
    {
        var known = info.Type == typeof(TaskConfig) ? Tasks : info.Type == typeof(MethodConfig) ? Methods : null;
        if (known is null)
            return;
        info.PolymorphismOptions = new JsonPolymorphismOptions { TypeDiscriminatorPropertyName = "type" };
        foreach (var (name, type) in known)
            info.PolymorphismOptions.DerivedTypes.Add(new JsonDerivedType(type, name));
    }

    private static FrozenDictionary<string, Type> Specs<T>() => Unique(
        from type in Types
        where type.IsSubclassOf(typeof(T)) && !type.IsAbstract
        select (type.GetCustomAttribute<SpecTypeAttribute>()!.Name, type));

    private static FrozenDictionary<string, Type> Unique(IEnumerable<(string Name, Type Type)> entries) =>
        entries.GroupBy(entry => entry.Name).ToFrozenDictionary(
            group => group.Key,
            group => group.Count() == 1
                ? group.Single().Type
                : throw new InvalidOperationException($"'{group.Key}' is claimed by {string.Join(" and ", group.Select(entry => entry.Type.Name))}."));
}
