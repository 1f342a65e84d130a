// What applications in C++ exchange with those in Python. The wheel has no header, so what is used is declared here.
//
//     interoperability put|get
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

enum SRTensorType { Double = 1, Float, Int8, Int16, Int32, Int64, UInt8, UInt16 };
enum SRMetaDataType { MetaDouble = 1, MetaFloat, MetaInt32, MetaInt64, MetaUInt32, MetaUInt64, MetaString };
enum SRMemoryLayout { SRMemLayoutContiguous = 2 };

namespace SmartRedis {
class DataSet {
  public:
    explicit DataSet(const std::string &name);
    ~DataSet();
    void add_tensor(const std::string &name, const void *data, const std::vector<size_t> &dims, SRTensorType type,
                    SRMemoryLayout layout);
    void add_meta_scalar(const std::string &name, const void *data, SRMetaDataType type);
    void add_meta_string(const std::string &name, const std::string &data);
    void unpack_tensor(const std::string &name, void *data, const std::vector<size_t> &dims, SRTensorType type,
                       SRMemoryLayout layout);
    void get_meta_scalars(const std::string &name, void *&data, size_t &length, SRMetaDataType &type) const;
    std::vector<std::string> get_meta_strings(const std::string &name) const;

  private:
    alignas(16) char state[4096]; // more than it needs
};

class Client {
  public:
    explicit Client(const char *logger);
    ~Client();
    void put_tensor(const std::string &name, const void *data, const std::vector<size_t> &dims, SRTensorType type,
                    SRMemoryLayout layout);
    void unpack_tensor(const std::string &name, void *data, const std::vector<size_t> &dims, SRTensorType type,
                       SRMemoryLayout layout);
    void put_dataset(DataSet &dataset);
    DataSet get_dataset(const std::string &name);
    void append_to_list(const std::string &name, const DataSet &dataset);
    int get_list_length(const std::string &name);

  private:
    alignas(16) char state[4096]; // likewise
};
} // namespace SmartRedis

using SmartRedis::Client;
using SmartRedis::DataSet;

static const std::vector<size_t> SHAPE{2, 3};

template <typename T> static std::vector<T> values() { return {T(1), T(2), T(3), T(4), T(5), T(-6)}; }

template <typename T> static void add(DataSet &dataset, const std::string &name, SRTensorType type) {
    dataset.add_tensor(name, values<T>().data(), SHAPE, type, SRMemLayoutContiguous);
}

template <typename T> static void add_meta(DataSet &dataset, const std::string &name, SRMetaDataType type) {
    for (const T value : {T(7), T(-8)}) dataset.add_meta_scalar(name, &value, type);
}

template <typename T> static void show_all(const std::string &name, const T *data, size_t length) {
    std::cout << name << ":";
    for (size_t i = 0; i < length; i++) std::cout << " " << +data[i];
    std::cout << "\n";
}

template <typename T> static void show(DataSet &dataset, const std::string &name, SRTensorType type) {
    std::vector<T> data(6);
    dataset.unpack_tensor(name, data.data(), {data.size()}, type, SRMemLayoutContiguous);
    show_all(name, data.data(), data.size());
}

template <typename T> static void show_meta(const DataSet &dataset, const std::string &name, SRMetaDataType expected) {
    void *data = nullptr;
    size_t length = 0;
    SRMetaDataType type;
    dataset.get_meta_scalars(name, data, length, type);
    show_all((type == expected ? "" : "not ") + name, static_cast<const T *>(data), length);
}

static void put(Client &client) {
    client.put_tensor("tensor", values<float>().data(), SHAPE, Float, SRMemLayoutContiguous);
    DataSet dataset("dataset");
    add<double>(dataset, "float64", Double);
    add<float>(dataset, "float32", Float);
    add<int8_t>(dataset, "int8", Int8);
    add<int16_t>(dataset, "int16", Int16);
    add<int32_t>(dataset, "int32", Int32);
    add<int64_t>(dataset, "int64", Int64);
    add<uint8_t>(dataset, "uint8", UInt8);
    add<uint16_t>(dataset, "uint16", UInt16);
    add_meta<double>(dataset, "meta float64", MetaDouble);
    add_meta<float>(dataset, "meta float32", MetaFloat);
    add_meta<int32_t>(dataset, "meta int32", MetaInt32);
    add_meta<int64_t>(dataset, "meta int64", MetaInt64);
    add_meta<uint32_t>(dataset, "meta uint32", MetaUInt32);
    add_meta<uint64_t>(dataset, "meta uint64", MetaUInt64);
    for (const char *text : {"", "wörld", "\xe9t\xe9"}) dataset.add_meta_string("texts", text); // the last is Latin-1
    client.put_dataset(dataset);
    client.append_to_list("list", dataset);
}

static void get(Client &client) {
    std::vector<float> tensor(6);
    client.unpack_tensor("tensor", tensor.data(), {tensor.size()}, Float, SRMemLayoutContiguous);
    show_all("tensor", tensor.data(), tensor.size());
    DataSet dataset = client.get_dataset("dataset");
    show<double>(dataset, "float64", Double);
    show<float>(dataset, "float32", Float);
    show<int8_t>(dataset, "int8", Int8);
    show<int16_t>(dataset, "int16", Int16);
    show<int32_t>(dataset, "int32", Int32);
    show<int64_t>(dataset, "int64", Int64);
    show<uint8_t>(dataset, "uint8", UInt8);
    show<uint16_t>(dataset, "uint16", UInt16);
    show_meta<double>(dataset, "meta float64", MetaDouble);
    show_meta<float>(dataset, "meta float32", MetaFloat);
    show_meta<int32_t>(dataset, "meta int32", MetaInt32);
    show_meta<int64_t>(dataset, "meta int64", MetaInt64);
    show_meta<uint32_t>(dataset, "meta uint32", MetaUInt32);
    show_meta<uint64_t>(dataset, "meta uint64", MetaUInt64);
    for (const std::string &text : dataset.get_meta_strings("texts")) std::cout << "text: " << text << "\n";
    std::cout << "length: " << client.get_list_length("list") << "\n";
}

int main(int, char **argv) {
    try {
        Client client("test");
        (argv[1] == std::string("put") ? put : get)(client);
    } catch (const std::exception &error) {
        std::cout << error.what() << "\n";
        return 1;
    }
}
